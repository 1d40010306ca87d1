"""Scoring on the engine: adaptive rows, groups of draws, and images that fail alone."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_engine import drive, images, scores

from models.rows.rows import pad, split, take
from models.schema.aims import tolerance
from models.schema.ode_error import OdeErrorScales
from models.schema.scores import Score
from models.solvers.adams import AdamsSolver, State
from models.solvers.base import Problem
from models.solvers.flow import Columns, LogDensity
from models.work.likelihood import score_problem, summarise
from models.work.solve import solve
from service.engine.engine import Engine
from service.engine.events import Progress
from service.engine.scheduler import SchedulerLimits
from service.jobs import Job, Outcome
from service.kinds.likelihoods.task import ScoreResult, ScoreTask
from service.rows import Served


def found(outcome: Outcome) -> tuple[Score, ...]:
    assert isinstance(outcome, ScoreResult), outcome
    return outcome.scores


def plain_loop(served: Served, task: ScoreTask) -> list[Score]:
    """The scores without the engine."""
    tokens = torch.as_tensor(task.images.transpose(0, 3, 1, 2).copy())
    problem = score_problem(
        *(served.denoiser, tokens, task.solver, task.seed, task.draws),
        error_scales=served.ode_error_scales,
    )
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


def test_the_factors_of_a_checkpoint_scale_its_error_estimates(
    models: Mapping[str, Served], served: Served
) -> None:
    scaled = served._replace(ode_error_scales=OdeErrorScales(0.5, 0.125))
    job = scores("a", images(2), 1)
    assert isinstance(job.task, ScoreTask)
    outcomes, _ = drive(Engine(dict.fromkeys(models, scaled)), [job])
    assert list(found(outcomes["a"])) == plain_loop(scaled, job.task)
    for one, plain in zip(found(outcomes["a"]), plain_loop(served, job.task), strict=True):
        assert one.ode_error_estimate is not None
        assert plain.ode_error_estimate is not None
        assert one.ode_error_estimate < plain.ode_error_estimate


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


def asking(job: Job, nats: float, bound: int = 20_000) -> Job:
    """The job with a total error asked for."""
    assert isinstance(job.task, ScoreTask)
    changed = {"max_evaluations": bound, "tolerance_nats": tolerance(0.5, nats)}
    solver = job.task.solver.model_copy(update=changed)
    return replace(job, task=replace(job.task, solver=solver, standard_error_nats=nats))


def once_for(job: Job, nats: float) -> Job:
    """The job whose solves have the tolerance of that error, without more of them."""
    asked = asking(job, nats)
    assert isinstance(asked.task, ScoreTask)
    return replace(asked, task=replace(asked.task, standard_error_nats=None))


@pytest.mark.parametrize("draws", [1, 3])
def test_solves_are_added_until_an_error_is_reached(
    models: Mapping[str, Served], draws: int
) -> None:
    job = scores("a", images(4), draws, probes=4)
    once = found(drive(Engine(models), [once_for(job, 1000.0)])[0]["a"])
    nats = 0.8 * min(score.total_standard_error or 0.0 for score in once)
    outcomes, events = drive(Engine(models), [asking(job, nats)])
    for score, before in zip(found(outcomes["a"]), once, strict=True):
        assert score.precise
        assert score.total_standard_error is not None
        assert score.total_standard_error <= nats
        assert score.draws is not None
        assert score.solves is not None
        assert score.draws * score.solves > draws
        assert score.nfe > before.nfe
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)


def test_an_error_that_is_reached_at_once_adds_nothing(models: Mapping[str, Served]) -> None:
    job = scores("a", images(2), probes=4)
    once = found(drive(Engine(models), [once_for(job, 1000.0)])[0]["a"])
    asked = found(drive(Engine(models), [asking(job, 1000.0)])[0]["a"])
    assert [replace(one, draws=1, solves=1, precise=True) for one in once] == list(asked)


def test_evaluations_that_run_out_leave_a_score_that_says_so(models: Mapping[str, Served]) -> None:
    job = scores("a", images(2), probes=4)
    once = found(drive(Engine(models), [once_for(job, 0.05)])[0]["a"])
    bound = 3 * max(score.nfe for score in once)
    for score in found(drive(Engine(models), [asking(job, 0.05, bound)])[0]["a"]):
        assert score.ok
        assert score.precise is False
        assert score.nfe <= bound
        assert (score.total_standard_error or 0.0) > 0.05


def test_a_precise_score_depends_on_no_company(models: Mapping[str, Served]) -> None:
    tokens = images(5)
    plain = scores("a", tokens, 2, probes=4)
    once = found(drive(Engine(models), [once_for(plain, 1000.0)])[0]["a"])
    # An error that all images reach, with a few more solves.
    job = asking(plain, 0.8 * min(score.total_standard_error or 0.0 for score in once))
    others = [asking(scores("b", tokens[:2], probes=4), 1.0), scores("c", tokens, probes=4)]
    small = Engine(models, SchedulerLimits(tick=12, resident=7))
    together = found(drive(small, [job, *others])[0]["a"])
    order = [3, 0, 4, 1, 2]
    assert all(
        score.precise and score.nfe > one.nfe for score, one in zip(together, once, strict=True)
    )
    assert isinstance(job.task, ScoreTask)
    permuted = replace(job, task=replace(job.task, images=tokens[order]))
    moved = found(drive(Engine(models), [permuted])[0]["a"])
    assert [together[index] for index in order] == list(moved)
