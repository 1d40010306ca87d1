"""Readings for verdicts on the engine: a fixed number of evaluations, beside everything else."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_calibration import small_calibration
from small_engine import CHECKPOINT, CONFIG, drive, images, job, samples, scores, short

from models.anomaly.readings import Reading
from models.anomaly.rows import read
from models.schema.specs import FlowPath
from models.solvers.base import Problem
from models.solvers.path import Columns, PathSolver, State
from service.engine.engine import Engine
from service.engine.scheduler import SchedulerLimits
from service.jobs import Job, Outcome, Tokens
from service.kinds.anomalies.task import AnomalyResult, AnomalyTask
from service.rows import Served

SPEC = FlowPath(steps=5, fresh=3)


def inspection(
    name: str, tokens: Tokens, seed: int = 7, spec: FlowPath = SPEC, heatmap: bool = True
) -> Job:
    calibration = small_calibration(CHECKPOINT, CONFIG, spec)
    return job(name, AnomalyTask(calibration, seed, 0.05, heatmap, tokens))


def found(outcome: Outcome) -> tuple[Reading, ...]:
    assert isinstance(outcome, AnomalyResult), outcome
    return outcome.readings


def same(one: Reading, other: Reading) -> bool:
    """Equal to the last bit."""
    return (one.nfe, one.values, one.reason) == (other.nfe, other.values, other.reason) and (
        one.contribution is other.contribution is None
        or np.array_equal(one.contribution, other.contribution)  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("count", "probes", "probing"), [(32, 1, "fixed"), (32, 2, "fixed"), (32, 1, "fresh")]
)
def test_readings_are_those_of_the_plain_loop(
    models: Mapping[str, Served], served: Served, count: int, probes: int, probing: str
) -> None:
    spec = SPEC.model_copy(update={"probes": probes, "probing": probing})
    outcomes, _ = drive(Engine(models), [inspection("a", images(count), spec=spec)])
    expected = read(served.denoiser, images(count), spec, seed=7)
    assert all(map(same, found(outcomes["a"]), expected))
    assert [reading.nfe for reading in found(outcomes["a"])] == [spec.evaluations] * count


def test_contributions_are_kept_only_for_a_heatmap(models: Mapping[str, Served]) -> None:
    jobs = [inspection("a", images(2)), inspection("b", images(2), heatmap=False)]
    outcomes, _ = drive(Engine(models), jobs)
    for drawn, plain in zip(found(outcomes["a"]), found(outcomes["b"]), strict=True):
        assert drawn.contribution is not None
        assert same(plain, replace(drawn, contribution=None))


def test_a_reading_is_the_same_alone_in_pieces_and_in_any_company(
    models: Mapping[str, Served],
) -> None:
    tokens = images(5)
    alone, _ = drive(Engine(models), [inspection("a", tokens[3:4])])
    company = [
        inspection("a", tokens),
        scores("b", images(1, seed=1), probes=1),
        samples("c", short("ddpm"), 3),
        inspection("d", tokens[::-1], spec=FlowPath(steps=9, fresh=2, probing="fresh")),
    ]
    crowd, _ = drive(Engine(models, SchedulerLimits(tick=12, resident=6)), company)
    again, _ = drive(Engine(models), company)
    assert same(found(alone["a"])[0], found(crowd["a"])[3])
    for name in ("a", "d"):
        assert all(map(same, found(again[name]), found(crowd[name])))
    assert [reading.nfe for reading in found(crowd["d"])] == [12] * 5


def test_an_image_that_stops_being_finite_fails_alone(
    models: Mapping[str, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    clean, _ = drive(Engine(models), [inspection("a", images(3))])
    init = PathSolver.init

    def poisoned(self: PathSolver, problem: Problem[Columns]) -> State:
        state = init(self, problem)
        x = state.x.clone()
        x[1] = torch.nan
        return state._replace(x=x)

    monkeypatch.setattr(PathSolver, "init", poisoned)
    outcomes, _ = drive(Engine(models), [inspection("a", images(3))])
    good, bad, other = found(outcomes["a"])
    assert bad.reason == "the solution stopped being finite"
    assert bad.values is bad.contribution is None
    assert same(good, found(clean["a"])[0])
    assert same(other, found(clean["a"])[2])


@pytest.mark.parametrize("level", [0, 16])
def test_constant_images_have_readings(models: Mapping[str, Served], level: int) -> None:
    tokens = np.full((1, 8, 8, 1), level, np.uint8)
    outcomes, _ = drive(Engine(models), [inspection("a", tokens)])
    (reading,) = found(outcomes["a"])
    assert reading.values is not None
    assert np.isfinite(list(reading.values.values())).all()
