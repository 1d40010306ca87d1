"""Jobs begin and end together, and each has its own result or its own error."""

from typing import Any

import numpy as np
import pytest
from small_engine import CHECKPOINT, drive, images, job, samples, scores, small_served

from models.schema.specs import Ddpm
from service.engine.engine import Engine
from service.errors import ComputationFailed
from service.jobs import Job
from service.kinds.likelihoods.task import ScoreResult
from service.kinds.samples.rows import Rows as SampleRows
from service.kinds.samples.task import SampleResult, SampleTask
from service.rows import Served


@pytest.fixture(scope="module")
def served() -> Served:
    return small_served()


@pytest.fixture
def engine(served: Served) -> Engine:
    return Engine({CHECKPOINT: served})


def test_scores_of_jobs_that_differ_in_draws_and_settings_begin_in_one_tick(
    served: Served, engine: Engine
) -> None:
    jobs = [
        scores("a", images(2, seed=1), draws=2),
        scores("b", images(1, seed=2), draws=1, seed=3),
        scores("c", images(1, seed=3), draws=2, seed=4),
        scores("d", images(2, seed=4), draws=1, tolerance_nats=5.0),
        scores("e", images(3, seed=5), draws=1),
    ]
    together, _ = drive(engine, jobs)
    for one in jobs:
        alone, _ = drive(Engine({CHECKPOINT: served}), [one])
        ours, theirs = together[one.id], alone[one.id]
        assert isinstance(ours, ScoreResult)
        assert isinstance(theirs, ScoreResult)
        assert [score.nfe for score in ours.scores] == [score.nfe for score in theirs.scores]
        assert [score.log_px_lower_bound for score in ours.scores] == pytest.approx(
            [score.log_px_lower_bound for score in theirs.scores], rel=1e-9
        )


def test_one_that_cannot_begin_fails_alone(served: Served, engine: Engine) -> None:
    good = [samples("a", Ddpm(steps=3), 2), samples("b", Ddpm(steps=2), 3, seed=8)]
    bad = job("bad", SampleTask(Ddpm(steps=3), 7, 2, latent=(99,)))
    outcomes, _ = drive(engine, [good[0], bad, good[1]])
    assert isinstance(outcomes["bad"], ComputationFailed)
    _same_as_alone(served, outcomes, good)


@pytest.mark.parametrize("method", ["read", "collect", "result"])
def test_one_that_cannot_end_fails_alone(
    served: Served, engine: Engine, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """A method raises wherever the job with seed 13 takes part."""
    good = [samples("a", Ddpm(steps=3), 2), samples("b", Ddpm(steps=3), 3, seed=8)]
    whole = getattr(SampleRows, method)

    def fails(self: SampleRows, *arguments: Any) -> Any:
        seeds = {self._task.seed}
        if method == "read":
            seeds = set(arguments[1].key.seed[: arguments[0]].tolist())
        if 13 in seeds:
            raise ArithmeticError("no such number")
        return whole(self, *arguments)

    monkeypatch.setattr(SampleRows, method, fails)
    outcomes, _ = drive(engine, [good[0], samples("bad", Ddpm(steps=3), 2, seed=13), good[1]])
    bad = outcomes["bad"]
    assert isinstance(bad, ComputationFailed)
    assert bad.detail == "ArithmeticError: no such number"
    _same_as_alone(served, outcomes, good)
    assert engine.idle


def test_the_lane_goes_on_where_none_of_those_that_begin_can(
    served: Served, engine: Engine
) -> None:
    """A lane that runs takes no harm from jobs that fail to join it."""
    first = samples("a", Ddpm(steps=5), 2)
    bad = [
        job(str(latent), SampleTask(Ddpm(steps=3), 7, 2, latent=(latent,))) for latent in (98, 99)
    ]
    outcomes, _ = drive(engine, [first], later={2: bad})
    assert all(isinstance(outcomes[one.id], ComputationFailed) for one in bad)
    _same_as_alone(served, outcomes, [first])


def _same_as_alone(served: Served, outcomes: dict[str, Any], jobs: list[Job]) -> None:
    for one in jobs:
        alone, _ = drive(Engine({CHECKPOINT: served}), [one])
        ours, theirs = outcomes[one.id], alone[one.id]
        assert isinstance(ours, SampleResult)
        assert isinstance(theirs, SampleResult)
        assert np.array_equal(ours.images, theirs.images)
