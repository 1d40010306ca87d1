"""Readings by levels on the engine: beside samples, and in full precision."""

from collections.abc import Mapping

import numpy as np
import torch
from small_calibration import small_levels
from small_engine import CHECKPOINT, CONFIG, drive, images, job, samples, scores, short

from models.anomaly.readings import Reading
from models.anomaly.rows import read
from models.rows.rows import Answer, Condition, Query
from models.runtimes.denoiser import NetworkDenoiser, TwoPrecisions
from models.schema.specs import Levels
from service.engine.engine import Engine
from service.engine.scheduler import SchedulerLimits
from service.jobs import Job, Outcome, Tokens
from service.kinds.anomalies.task import AnomalyResult, AnomalyTask
from service.rows import Served


def inspection(name: str, tokens: Tokens, levels: int = 3) -> Job:
    calibration = small_levels(CHECKPOINT, CONFIG, levels)
    return job(name, AnomalyTask(calibration, 7, 0.05, False, tokens))


def found(outcome: Outcome) -> tuple[Reading, ...]:
    assert isinstance(outcome, AnomalyResult), outcome
    return outcome.readings


def same(one: Reading, other: Reading) -> bool:
    assert one.levels is not None
    assert other.levels is not None
    return (one.nfe, one.values) == (other.nfe, other.values) and np.array_equal(
        one.levels, other.levels
    )


def test_readings_are_those_of_the_plain_loop(models: Mapping[str, Served], served: Served) -> None:
    outcomes, _ = drive(Engine(models), [inspection("a", images(32), levels=4)])
    expected = read(served.denoiser, images(32), Levels(levels=4), seed=0)
    assert all(map(same, found(outcomes["a"]), expected))
    assert {reading.nfe for reading in found(outcomes["a"])} == {4}
    assert found(outcomes["a"])[0].levels.shape == (4, 8, 8, 1)  # type: ignore[union-attr]


def test_a_reading_is_the_same_in_any_company(models: Mapping[str, Served]) -> None:
    tokens = images(5)
    alone, _ = drive(Engine(models), [inspection("a", tokens[3:4])])
    company = [
        inspection("a", tokens),
        scores("b", images(1, seed=1), probes=1),
        samples("c", short("ddpm"), 3),
        inspection("d", tokens[::-1], levels=5),
    ]
    crowd, _ = drive(Engine(models, SchedulerLimits(tick=12, resident=6)), company)
    assert same(found(alone["a"])[0], found(crowd["a"])[3])
    assert [len(one.levels) for one in found(crowd["d"])] == [5] * 5  # type: ignore[arg-type]


class Coarse(NetworkDenoiser):
    """Answers in less precision, and counts its calls."""

    calls = 0

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        self.calls += 1
        answer = super().evaluate(query, condition)
        return Answer(answer.eps.bfloat16().float(), answer.vjps)


def test_verdicts_are_exact_where_samples_are_drawn_in_less_precision(served: Served) -> None:
    exact = served.denoiser
    assert isinstance(exact, NetworkDenoiser)
    coarse = Coarse(exact.model, exact.runtime, exact.quantum, exact.eager_quantum)
    both = served._replace(denoiser=TwoPrecisions(exact, coarse))
    jobs = [inspection("a", images(4)), samples("b", short("ddpm"), 2)]
    outcomes, _ = drive(Engine({CHECKPOINT: both}), jobs)
    expected = read(exact, images(4), Levels(levels=3), seed=0)
    assert all(map(same, found(outcomes["a"]), expected))
    assert coarse.calls > 0


def test_an_image_that_is_not_finite_fails_alone(served: Served) -> None:
    class Deaf(NetworkDenoiser):
        def evaluate(self, query: Query, condition: Condition) -> Answer:
            eps = super().evaluate(query, condition).eps.clone()
            eps[1] = torch.nan
            return Answer(eps)

    exact = served.denoiser
    assert isinstance(exact, NetworkDenoiser)
    deaf = Deaf(exact.model, exact.runtime, exact.quantum, exact.eager_quantum)
    good, bad, _ = read(deaf, images(3), Levels(levels=3), seed=0)
    assert good.levels is not None
    assert (bad.reason, bad.levels) == ("the solution stopped being finite", None)
