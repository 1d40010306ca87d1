"""The engine on a small network: results, ends, and who pays when something breaks."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from small_engine import (
    CHECKPOINT,
    CONFIG,
    FOREVER,
    drive,
    images,
    job,
    samples,
    scores,
    short,
    small_model,
)

from models.network.pixels import data_to_tokens
from models.rows.denoiser import Denoiser
from models.rows.rows import Answer, Condition, Query, count
from models.runtimes.warmup import warm_up
from models.schema.config import ModelConfig
from models.schema.specs import Ddpm
from models.solvers import SAMPLERS
from models.work.sampling import sample_problem
from models.work.solve import solve
from service.engine.engine import Engine
from service.engine.events import Ended, Event, Progress
from service.engine.scheduler import SchedulerLimits
from service.errors import ComputationFailed, DeadlineExceeded
from service.jobs import Job
from service.kinds.likelihoods.task import ScoreResult
from service.kinds.samples.rows import Rows
from service.kinds.samples.task import SampleResult, SampleTask
from service.rows import Part, Served


class Wrapped:
    """A denoiser that counts its calls, and can be told to misbehave."""

    def __init__(self, inner: Denoiser) -> None:
        self.inner, self.config, self.quantum = inner, inner.config, inner.quantum
        self.config: ModelConfig
        self.calls: list[int] = []
        self.poisoned_latent: int | None = None
        self.raises = False

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        self.calls.append(count(query))
        chosen = condition.latent.argmax(1) == self.poisoned_latent
        if self.raises and chosen.any():
            raise RuntimeError("out of luck")
        answer = self.inner.evaluate(query, condition)
        answer.eps[chosen] = torch.nan
        return answer

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner.encode(x)

    def condition(self, latent: torch.Tensor) -> Condition:
        return self.inner.condition(latent)


def with_latent(name: str, one: int, count: int = 3) -> Job:
    return job(name, SampleTask(Ddpm(steps=6), 1, count, latent=(one,)))


def result(outcome: object) -> SampleResult:
    assert isinstance(outcome, SampleResult), outcome
    return outcome


def ends(events: Sequence[Event]) -> list[Ended]:
    return [event for event in events if isinstance(event, Ended)]


@pytest.fixture
def wrapped(served: Served) -> Wrapped:
    return Wrapped(served.denoiser)


@pytest.fixture
def engine(served: Served, wrapped: Wrapped) -> Engine:
    return Engine({CHECKPOINT: served._replace(denoiser=wrapped)})


@pytest.mark.parametrize("name", SAMPLERS)
def test_images_are_those_of_the_plain_loop(
    models: Mapping[str, Served], served: Served, name: str
) -> None:
    spec, solver = short(name), SAMPLERS[name]
    problem = sample_problem(served.denoiser, spec, 7, torch.arange(32))
    sample = solver.sample(problem, solve(solver, problem, served.denoiser))
    expected = data_to_tokens(sample.x, served.denoiser.config).permute(0, 2, 3, 1).numpy()

    outcomes, _ = drive(Engine(models), [samples("a", spec, 32)])
    found = result(outcomes["a"])
    assert np.array_equal(found.images, expected)
    assert found.images.dtype == np.uint8
    assert found.nfe == (spec.evaluations,) * 32
    assert found.latents == tuple((int(z.argmax()),) for z in problem.condition.latent)
    assert found.execution == "cpu/test"
    rates = sample.acceptance_rate.tolist()
    assert found.acceptance_rate == tuple(None if math.isnan(rate) else rate for rate in rates)
    assert all(rate is None or 0 <= rate <= 1 for rate in found.acceptance_rate)


def test_solvers_and_jobs_share_one_call_a_tick(engine: Engine, wrapped: Wrapped) -> None:
    jobs = [samples(name, short(name), 4, seed) for seed, name in enumerate(SAMPLERS)]
    drive(engine, jobs)
    longest = max(short(name).evaluations for name in SAMPLERS)
    assert len(wrapped.calls) == longest
    assert wrapped.calls[0] == 4 * len(SAMPLERS)


def test_a_large_job_enters_in_pieces_and_comes_out_in_order(
    engine: Engine, wrapped: Wrapped, models: Mapping[str, Served]
) -> None:
    outcomes, _ = drive(engine, [samples("large", short("ddpm"), 150)])
    assert max(wrapped.calls) <= SchedulerLimits().tick
    small, _ = drive(Engine(models), [samples("small", short("ddpm"), 20)])
    assert np.array_equal(result(outcomes["large"]).images[:20], result(small["small"]).images)


def test_a_short_job_overtakes_a_long_one(models: Mapping[str, Served]) -> None:
    short_job, long_job = samples("short", Ddpm(steps=5), 8), samples("long", Ddpm(steps=60), 64)
    _, events = drive(Engine(models), [long_job], {10: [short_job]})
    assert [event.job_id for event in ends(events)] == ["short", "long"]


def test_progress_never_falls_and_ends_at_one(models: Mapping[str, Served]) -> None:
    _, events = drive(Engine(models), [samples("a", Ddpm(steps=20), 100)])
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert len(fractions) >= 10
    assert fractions == sorted(set(fractions))
    assert 0 < fractions[0] < fractions[-1] < 1


def test_an_aborted_job_costs_nothing_more(engine: Engine, wrapped: Wrapped) -> None:
    engine.submit(samples("gone", Ddpm(steps=50), 64))
    engine.step(0.0)
    engine.abort("gone")
    engine.abort("never heard of")
    assert engine.idle
    assert engine.step(0.0) == []
    assert len(wrapped.calls) == 1


def test_an_aborted_job_leaves_its_neighbours_as_they_were(models: Mapping[str, Served]) -> None:
    alone, _ = drive(Engine(models), [samples("stays", Ddpm(steps=9), 5)])
    engine = Engine(models)
    for one in (samples("goes", Ddpm(steps=50), 40, 1), samples("stays", Ddpm(steps=9), 5)):
        engine.submit(one)
    for _ in range(4):
        engine.step(0.0)
    engine.abort("goes")
    outcomes, _ = drive(engine)
    assert outcomes.keys() == {"stays"}
    assert np.array_equal(result(outcomes["stays"]).images, result(alone["stays"]).images)


def test_a_deadline_acts_between_two_calls(engine: Engine, wrapped: Wrapped) -> None:
    engine.submit(job("late", SampleTask(Ddpm(steps=50), 1, 4), deadline=100.0))
    engine.submit(job("expired", SampleTask(Ddpm(steps=50), 1, 4), deadline=1.0))
    (event,) = ends(engine.step(99.0))
    assert event.job_id == "expired"
    (event,) = ends(engine.step(100.0))
    assert isinstance(event.outcome, DeadlineExceeded)
    assert engine.idle
    assert wrapped.calls == [4]


def test_a_job_that_is_inside_is_not_begun_again(engine: Engine, wrapped: Wrapped) -> None:
    drive(engine, [samples("a", Ddpm(steps=6), 4), samples("a", Ddpm(steps=6), 4)])
    assert wrapped.calls == [4] * 6


def test_an_unknown_checkpoint_fails_that_job_only(engine: Engine) -> None:
    stray = job("stray", SampleTask(Ddpm(steps=6), 1, 1), FOREVER, checkpoint="f" * 64)
    outcomes, _ = drive(engine, [stray, samples("good", Ddpm(steps=6), 1)])
    assert isinstance(outcomes["stray"], ComputationFailed)
    result(outcomes["good"])


def test_a_row_that_is_not_finite_fails_its_job_alone(
    engine: Engine, wrapped: Wrapped, models: Mapping[str, Served]
) -> None:
    wrapped.poisoned_latent = 2
    outcomes, _ = drive(engine, [with_latent("bad", 2), with_latent("good", 1)])
    error = outcomes["bad"]
    assert isinstance(error, ComputationFailed)
    assert error.detail == "3 of 3 images failed: the solution stopped being finite"
    clean, _ = drive(Engine(models), [with_latent("good", 1)])
    assert np.array_equal(result(outcomes["good"]).images, result(clean["good"]).images)


def test_a_call_that_raises_fails_the_job_at_fault_alone(
    engine: Engine, wrapped: Wrapped, models: Mapping[str, Served]
) -> None:
    wrapped.poisoned_latent, wrapped.raises = 2, True
    others = [job(name, SampleTask(short(name), 1, 3, latent=(0,))) for name in SAMPLERS]
    bad = with_latent("bad", 2)
    outcomes, _ = drive(engine, [others[0], bad, *others[1:]])
    error = outcomes.pop("bad")
    assert isinstance(error, ComputationFailed)
    assert error.detail == "RuntimeError: out of luck"
    clean, _ = drive(Engine(models), others)
    for name, outcome in outcomes.items():
        assert np.array_equal(result(outcome).images, result(clean[name]).images)


@pytest.mark.parametrize("method", ["init", "ask", "tell", "status", "sample"])
def test_a_solver_that_raises_fails_its_own_job(
    models: Mapping[str, Served], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def broken(*arguments: Any) -> None:
        raise ArithmeticError("no such number")

    monkeypatch.setattr(type(SAMPLERS["rtk-uld"]), method, broken)
    outcomes, _ = drive(
        Engine(models), [samples("bad", short("rtk-uld"), 2), samples("good", short("ddpm"), 2)]
    )
    error = outcomes["bad"]
    assert isinstance(error, ComputationFailed)
    assert error.detail == "ArithmeticError: no such number"
    result(outcomes["good"])


def test_an_engine_that_gives_up_ends_every_job(engine: Engine) -> None:
    for name in ("a", "b"):
        engine.submit(samples(name, Ddpm(steps=6), 3))
    engine.step(0.0)
    events = engine.abandon(ComputationFailed("over"))
    assert {event.job_id for event in events} == {"a", "b"}
    assert engine.idle
    outcomes, _ = drive(engine, [samples("a", Ddpm(steps=6), 3)])
    result(outcomes["a"])


def test_a_model_without_a_latent_is_served_like_any_other() -> None:
    """VDM: one linear schedule for all. Every solver, sampling and scoring."""
    model = small_model(config=CONFIG.model_copy(update={"latent_size": 0, "latent_k": 0}))
    vdm = Served(warm_up(model, 16), torch.device("cpu"), "cpu/test")
    jobs = [samples(name, short(name), 2) for name in SAMPLERS] + [scores("score", images(2))]
    outcomes, _ = drive(Engine({CHECKPOINT: vdm}), jobs)
    for name in SAMPLERS:
        assert result(outcomes[name]).latents == ((), ())
    scored = outcomes["score"]
    assert isinstance(scored, ScoreResult), scored
    assert [score.ok for score in scored.scores] == [True, True]
    assert [score.latent for score in scored.scores] == [0, 0]


def test_a_job_that_cannot_begin_fails_alone(
    models: Mapping[str, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others of its lane, which begin in the same tick, get the images that they always get."""
    spec = short("ddpm")
    jobs = [samples(f"seed {seed}", spec, 2, seed) for seed in (1, 13, 3)]
    expected, _ = drive(Engine(models), jobs)
    whole = Rows.problem

    def problem(cls: type[Rows], parts: Sequence[Part[Rows]]) -> Any:
        if any(part.job._task.seed == 13 for part in parts):
            raise RuntimeError("thirteen")
        return whole(parts)

    monkeypatch.setattr(Rows, "problem", classmethod(problem))
    ends, _ = drive(Engine(models), jobs)
    assert isinstance(ends["seed 13"], ComputationFailed)
    for name in ("seed 1", "seed 3"):
        assert np.array_equal(result(ends[name]).images, result(expected[name]).images)


def test_a_job_whose_rows_cannot_be_read_fails_alone(
    models: Mapping[str, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = short("ddpm")
    jobs = [samples(f"seed {seed}", spec, 2, seed) for seed in (1, 13, 3)]
    expected, _ = drive(Engine(models), jobs)
    whole = Rows.read

    def read(self: Rows, rows: int, problem: Any, state: Any) -> Any:
        if 13 in problem.key.seed[:rows].tolist():
            raise RuntimeError("thirteen")
        return whole(self, rows, problem, state)

    monkeypatch.setattr(Rows, "read", read)
    ends, _ = drive(Engine(models), jobs)
    assert isinstance(ends["seed 13"], ComputationFailed)
    for name in ("seed 1", "seed 3"):
        assert np.array_equal(result(ends[name]).images, result(expected[name]).images)
