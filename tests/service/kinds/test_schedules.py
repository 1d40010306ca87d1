"""Schedules in the engine: the network's own gamma, in every pixel and at every time."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_engine import CHECKPOINT, CONFIG, drive, images, job, samples, short, small_model
from tiny_classes import class_model

from models.network.encoder import top_k
from models.network.network import LinearSchedule
from models.network.pixels import tokens_to_data
from models.network.schedule import Schedule
from models.runtimes.eager import eager_denoiser
from service.engine.engine import Engine
from service.engine.events import Ended
from service.engine.scheduler import SchedulerLimits
from service.errors import ComputationFailed, ServiceError
from service.jobs import Job
from service.kinds.samples.task import SampleResult
from service.kinds.schedules import curves as module
from service.kinds.schedules.curves import curves, gamma
from service.kinds.schedules.task import ScheduleResult, ScheduleTask, Tabulation
from service.rows import Served
from service.telemetry.observers import EngineObserver
from service.telemetry.ticks import Tick

TIMES = np.linspace(0, 1, 33)
NOTHING = np.empty((0, *CONFIG.image_shape), np.uint8)
POINTS = Tabulation(points=len(TIMES))


class Calls(EngineObserver):
    """Counts the network calls."""

    def __init__(self) -> None:
        self.count = 0

    def tick_ended(self, tick: Tick) -> None:
        self.count += len(tick.calls)


def of_latents(name: str, *latents: Sequence[int]) -> Job:
    return job(name, ScheduleTask(POINTS, tuple(map(tuple, latents)), NOTHING))


def shown(outcome: object) -> ScheduleResult:
    assert isinstance(outcome, ScheduleResult), outcome
    return outcome


def networks_gamma(schedule: Schedule) -> NDArray[np.float64]:
    """gamma `[rows, times, H, W, C]` as the network has it."""
    rows = len(schedule.gamma_min)
    at = [schedule.double().gamma(torch.full((rows,), t).double()) for t in TIMES]
    return torch.stack(at, 1).permute(0, 1, 3, 4, 2).numpy()


def test_gamma_is_the_network_s_own(models: Mapping[str, Served]) -> None:
    outcomes, _ = drive(Engine(models), [of_latents("a", [2], [0])])
    found = shown(outcomes["a"])
    assert found.latents == ((2,), (0,))
    latents = torch.eye(CONFIG.latent_size)[[2, 0]]
    by_network = networks_gamma(small_model().gamma(latents))
    by_solvers = networks_gamma(models[CHECKPOINT].denoiser.condition(latents).schedule)
    assert by_network.std(axis=(2, 3, 4)).max() > 0.01, "all pixels have one curve"
    for row, coefficients in enumerate(found.coefficients):
        values = gamma(coefficients, TIMES, CONFIG.gamma_min)
        # Solvers have gamma_min in float32, and the network alone sums in another order.
        np.testing.assert_allclose(values, by_solvers[row], rtol=0, atol=1e-6)
        rise, own = values - CONFIG.gamma_min, by_solvers[row] - by_solvers[row, 0]
        np.testing.assert_allclose(rise, own, rtol=0, atol=1e-12)
        np.testing.assert_allclose(values, by_network[row], rtol=0, atol=1e-5)
        np.testing.assert_allclose(values[0], CONFIG.gamma_min)
        np.testing.assert_allclose(values[-1], CONFIG.gamma_max, atol=1e-5)
        assert (np.diff(values, axis=0) >= 0).all()


def test_curves_are_moments_over_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where not all of gamma is held at once."""
    monkeypatch.setattr(module, "HELD", 100)
    coefficients = np.random.default_rng(0).normal(size=(3, 4, 3, 2)).astype(np.float32)
    flat = gamma(coefficients, TIMES, -5.0).reshape(len(TIMES), -1)
    drawn = curves(coefficients, TIMES, -5.0)
    np.testing.assert_allclose(drawn.mean, flat.mean(1))
    np.testing.assert_allclose(drawn.median, np.median(flat, axis=1))
    np.testing.assert_allclose(drawn.lower, np.quantile(flat, 0.05, axis=1))
    np.testing.assert_allclose(drawn.upper, np.quantile(flat, 0.95, axis=1))


def test_an_image_has_the_schedule_of_its_latent(models: Mapping[str, Served]) -> None:
    tokens = images(5)
    outcomes, _ = drive(Engine(models), [job("a", ScheduleTask(POINTS, (), tokens))])
    found = shown(outcomes["a"])
    clean = tokens_to_data(torch.from_numpy(tokens).permute(0, 3, 1, 2), CONFIG).float()
    chosen = top_k(small_model().encoder(clean), CONFIG.latent_k)
    assert found.latents == tuple((one,) for one in chosen.argmax(1).tolist())
    again, _ = drive(Engine(models), [of_latents("b", *found.latents)])
    np.testing.assert_array_equal(found.coefficients, shown(again["b"]).coefficients)


def test_no_network_call_is_made(models: Mapping[str, Served]) -> None:
    calls = Calls()
    drive(Engine(models, observer=calls), [of_latents("a", [2], [0])])
    assert calls.count == 0


def test_more_latents_than_a_tick_takes(models: Mapping[str, Served]) -> None:
    many = [[number % CONFIG.latent_size] for number in range(50)]
    engine = Engine(models, SchedulerLimits(tick=8, resident=16))
    for one in (of_latents("a", *many), of_latents("b", [1])):
        engine.submit(one)
    ends: dict[str, Any] = {}
    for tick in range(20):
        events = [event for event in engine.step(0.0) if isinstance(event, Ended)]
        ends |= {event.job_id: (tick, event.outcome) for event in events}
    assert engine.idle
    assert shown(ends["a"][1]).latents == tuple(map(tuple, many))
    assert ends["b"][0] < ends["a"][0] <= 8


def test_rows_that_run_beside_it_are_not_touched(models: Mapping[str, Served]) -> None:
    drawing = samples("drawing", short("ddpm"), 3)
    alone, _ = drive(Engine(models), [drawing])
    beside, _ = drive(
        Engine(models), [drawing], later={1: [of_latents("a", [2])], 2: [of_latents("b", [3])]}
    )
    one, other = alone["drawing"], beside["drawing"]
    assert isinstance(one, SampleResult)
    assert isinstance(other, SampleResult)
    np.testing.assert_array_equal(one.images, other.images)
    single, _ = drive(Engine(models), [of_latents("c", [3])])
    np.testing.assert_array_equal(shown(beside["b"]).coefficients, shown(single["c"]).coefficients)


@pytest.fixture
def broken() -> Served:
    """A network whose schedule of latent 1 is no number."""
    model = small_model()
    inner = model.gamma

    class Poisoned(torch.nn.Module):
        def forward(self, latent: torch.Tensor) -> Any:
            schedule = inner(latent)
            schedule.a[latent[:, 1] == 1] = torch.nan
            if (latent[:, 2] == 1).any():
                raise RuntimeError("out of luck")
            return schedule

    model.gamma = Poisoned()
    return Served(eager_denoiser(model), torch.device("cpu"), "cpu/test")


def test_only_the_job_at_fault_fails(broken: Served) -> None:
    jobs = [of_latents(name, [int(name)]) for name in "0123"]
    outcomes, _ = drive(Engine({CHECKPOINT: broken}), jobs)
    assert [isinstance(outcomes[name], ServiceError) for name in "0123"] == [
        False,
        True,
        True,
        False,
    ]
    failed = outcomes["1"]
    assert isinstance(failed, ComputationFailed)
    assert str(failed) == "the schedule is not finite"


def test_a_model_without_a_latent_has_a_straight_line() -> None:
    config = CONFIG.model_copy(update={"latent_size": 0, "latent_k": 0})
    model = small_model(config=config)
    assert isinstance(model.gamma, LinearSchedule)
    served = Served(eager_denoiser(model), torch.device("cpu"), "cpu/test")
    jobs = [of_latents("a", []), job("b", ScheduleTask(POINTS, (), images(2)))]
    outcomes, _ = drive(Engine({CHECKPOINT: served}), jobs)
    line = config.gamma_min + (config.gamma_max - config.gamma_min) * TIMES
    for name, count in (("a", 1), ("b", 2)):
        found = shown(outcomes[name])
        assert found.latents == ((),) * count
        for coefficients in found.coefficients:
            values = gamma(coefficients, TIMES, config.gamma_min)
            expected = np.broadcast_to(line[:, None, None, None], values.shape)
            np.testing.assert_allclose(values, expected, atol=2e-6)


def test_classes_have_one_straight_line() -> None:
    model = class_model()
    config = model.config
    served = Served(eager_denoiser(model), torch.device("cpu"), "cpu/test")
    tokens = np.zeros((2, *config.image_shape), np.uint8)
    jobs = [
        job("a", ScheduleTask(POINTS, ((),), tokens[:0])),
        job("b", ScheduleTask(POINTS, (), tokens)),
    ]
    outcomes, _ = drive(Engine({CHECKPOINT: served}), jobs)
    line = config.gamma_min + (config.gamma_max - config.gamma_min) * TIMES
    for name in "a", "b":
        found = shown(outcomes[name])
        values = gamma(found.coefficients[0], TIMES, config.gamma_min)
        expected = np.broadcast_to(line[:, None, None, None], values.shape)
        np.testing.assert_allclose(values, expected, atol=2e-6)
