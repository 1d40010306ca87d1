"""Scoring on the engine: adaptive rows, groups of draws, and images that fail alone."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from small_engine import drive, images, scores

from models.rows.rows import pad, split, take
from models.schema.scores import Score
from models.solvers.adams import AdamsSolver, State
from models.solvers.base import Problem
from models.solvers.flow import Columns, LogDensity
from models.work.likelihood import score_problem, summarise
from models.work.solve import solve
from service.engine.engine import Engine
from service.engine.events import Progress
from service.engine.scheduler import SchedulerLimits
from service.jobs import Outcome
from service.kinds.likelihoods.task import ScoreResult, ScoreTask
from service.rows import Served


def found(outcome: Outcome) -> tuple[Score, ...]:
    assert isinstance(outcome, ScoreResult), outcome
    return outcome.scores


def plain_loop(served: Served, task: ScoreTask) -> list[Score]:
    """The scores without the engine."""
    tokens = torch.as_tensor(task.images.transpose(0, 3, 1, 2).copy())
    problem = score_problem(served.denoiser, tokens, task.solver, task.seed, task.draws)
    rows = len(tokens) * task.draws
    solver, problem = AdamsSolver(), pad(problem, 32)
    density = solver.density(problem, solve(solver, problem, served.denoiser))
    density = take(density, torch.arange(rows))
    config = served.denoiser.config
    return [
        summarise(config, LogDensity(*one), task.solver)
        for one in split(density, [task.draws] * len(tokens))
    ]


@pytest.mark.parametrize(("count", "draws", "probes"), [(3, 1, 2), (32, 1, 1), (2, 3, 2)])
def test_scores_are_those_of_the_plain_loop(
    models: Mapping[str, Served], served: Served, count: int, draws: int, probes: int
) -> None:
    job = scores("a", images(count), draws, probes=probes)
    assert isinstance(job.task, ScoreTask)
    outcomes, _ = drive(Engine(models), [job])
    assert list(found(outcomes["a"])) == plain_loop(served, job.task)
    assert all(score.ok and score.nfe > 7 * draws for score in found(outcomes["a"]))


def test_a_large_job_enters_in_pieces(models: Mapping[str, Served]) -> None:
    tokens = images(8)
    pieces, events = drive(
        Engine(models, SchedulerLimits(tick=12, resident=7)), [scores("a", tokens, 2)]
    )
    whole, _ = drive(Engine(models, SchedulerLimits(tick=1000)), [scores("a", tokens, 2)])
    assert found(pieces["a"]) == found(whole["a"])
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] < 0.2
    assert 0.8 < fractions[-1] <= 1


def test_more_draws_than_a_tick_can_run_still_end(models: Mapping[str, Served]) -> None:
    outcomes, _ = drive(
        Engine(models, SchedulerLimits(tick=4, resident=4)), [scores("a", images(1), 5)]
    )
    assert [score.ok for score in found(outcomes["a"])] == [True]


def test_jobs_of_other_settings_share_the_engine(models: Mapping[str, Served]) -> None:
    jobs = [
        scores("loose", images(2), tolerance_nats=10.0),
        scores("tight", images(2), tolerance_nats=0.1),
        scores("probing", images(2), probes=2),
    ]
    together, _ = drive(Engine(models), jobs)
    for one in jobs:
        alone, _ = drive(Engine(models), [one])
        assert found(alone[one.id]) == found(together[one.id])
    assert found(together["tight"])[0].nfe > found(together["loose"])[0].nfe


def test_an_image_that_cannot_be_solved_fails_alone(models: Mapping[str, Served]) -> None:
    tokens = images(4)
    tight = {"tolerance_nats": 0.001}
    reference, _ = drive(Engine(models), [scores("a", tokens, **tight)])
    costs = [score.nfe for score in found(reference["a"])]
    limit = min(costs)
    assert max(costs) > limit
    limited_job = scores("a", tokens, max_evaluations=limit, **tight)
    outcomes, _ = drive(Engine(models), [limited_job])
    for cost, limited, free in zip(costs, found(outcomes["a"]), found(reference["a"]), strict=True):
        if cost <= limit:
            assert limited == free
        else:
            assert limited.reason == "the limit on evaluations was reached"
            assert limited.log_px_given_z is None


def test_an_image_that_stops_being_finite_fails_alone(
    models: Mapping[str, Served], served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = images(3)
    clean, _ = drive(Engine(models), [scores("a", tokens)])
    init = AdamsSolver.init

    def poisoned(self: AdamsSolver, problem: Problem[Columns]) -> State:
        state = init(self, problem)
        x = state.x.clone()
        x[1] = torch.nan
        return state._replace(x=x)

    monkeypatch.setattr(AdamsSolver, "init", poisoned)
    outcomes, _ = drive(Engine(models), [scores("a", tokens)])
    good, bad, other = found(outcomes["a"])
    assert bad.reason == "the solution stopped being finite"
    assert [good, other] == [found(clean["a"])[0], found(clean["a"])[2]]
    assert np.isfinite(good.bits_per_dim or np.nan)
