"""Rows of different classes on the engine: one call for all, and each as it is alone."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from small_engine import CHECKPOINT, drive, job, short
from tiny_classes import CLASSES, class_model

from models.anomaly.rows import read
from models.runtimes.eager import eager_denoiser
from models.schema.scores import Score
from models.schema.specs import Adams, Ddim, Levels
from models.solvers import SAMPLERS
from service.engine.engine import Engine
from service.engine.scheduler import SchedulerLimits
from service.jobs import Job, Outcome, Tokens
from service.kinds.anomalies.task import AnomalyTask
from service.kinds.likelihoods.task import ScoreResult, ScoreTask
from service.kinds.samples.task import SampleResult, SampleTask
from service.rows import Served

SPEC = Adams(probes=1, tolerance_nats=10.0)
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)


@pytest.fixture(scope="module")
def served() -> Served:
    return Served(eager_denoiser(class_model()), torch.device("cpu"), "cpu/test")


def sampled(outcome: Outcome) -> SampleResult:
    assert isinstance(outcome, SampleResult), outcome
    return outcome


def scored(outcome: Outcome) -> tuple[Score, ...]:
    assert isinstance(outcome, ScoreResult), outcome
    return outcome.scores


def scoring(
    name: str, images: Tokens, labels: tuple[int, ...] | None, draws: int = 1, spec: Adams = SPEC
) -> Job:
    return job(name, ScoreTask(spec, 7, draws, images, labels=labels))


class Counting:
    """A denoiser that notes the classes of each of its calls."""

    def __init__(self, denoiser: Any) -> None:
        self.denoiser = denoiser
        self.config, self.quantum = denoiser.config, denoiser.quantum
        self.encode, self.condition = denoiser.encode, denoiser.condition
        self.calls: list[set[int]] = []

    def evaluate(self, query: Any, condition: Any) -> Any:
        self.calls.append(set(condition.latent.argmax(1).tolist()))
        return self.denoiser.evaluate(query, condition)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_batch_of_classes_is_each_alone(models: Mapping[str, Served], name: str) -> None:
    labels = (3, 0, 3)
    mixed = job("mixed", SampleTask(short(name), 7, 3, labels=labels))
    found = sampled(drive(Engine(models), [mixed])[0]["mixed"])
    assert found.latents == tuple((label,) for label in labels)
    for label in set(labels):
        same = job("one", SampleTask(short(name), 7, 3, labels=(label,) * 3))
        alone = sampled(drive(Engine(models), [same])[0]["one"])
        for index, other in enumerate(labels):
            equal = np.array_equal(found.images[index], alone.images[index])
            assert equal == (other == label), f"image {index} of class {other} beside {label}"


def test_classes_share_calls_with_each_other_and_with_drawn_ones(served: Served) -> None:
    counting: Any = Counting(served.denoiser)
    jobs = [
        job("a", SampleTask(Ddim(steps=6), 1, 2, labels=(0, 1))),
        job("b", SampleTask(Ddim(steps=6), 2, 2, labels=(2, 3))),
        job("c", SampleTask(Ddim(steps=6), 3, 40)),
    ]
    outcomes, _ = drive(Engine({CHECKPOINT: served._replace(denoiser=counting)}), jobs)
    # As many calls as one row has evaluations: six steps and the clean image.
    assert len(counting.calls) == 7
    assert all(call == set(range(CLASSES)) for call in counting.calls)
    drawn = [label for (label,) in sampled(outcomes["c"]).latents]
    assert set(drawn) == set(range(CLASSES))
    named = job("named", SampleTask(Ddim(steps=6), 3, 40, labels=tuple(drawn)))
    again = drive(Engine({CHECKPOINT: served}), [named])[0]["named"]
    assert np.array_equal(sampled(again).images, sampled(outcomes["c"]).images)


@pytest.mark.parametrize("draws", [1, 2])
def test_a_score_of_no_named_class_is_the_mean_of_those_of_all(
    models: Mapping[str, Served], draws: int
) -> None:
    outcomes, _ = drive(Engine(models), [scoring("all", IMAGES[:2], None, draws)])
    whole = scored(outcomes["all"])
    for image, score in zip(IMAGES, whole, strict=False):
        repeated = np.repeat(image[None], CLASSES, axis=0)
        outcomes, _ = drive(
            Engine(models), [scoring("each", repeated, tuple(range(CLASSES)), draws)]
        )
        each = scored(outcomes["each"])
        bounds = [one.log_px_lower_bound for one in each]
        assert score.log_px_given_class == pytest.approx(bounds, rel=1e-14)
        assert None not in bounds
        mean = torch.tensor(bounds, dtype=torch.float64).logsumexp(0) - np.log(CLASSES)
        assert score.log_px_lower_bound == pytest.approx(float(mean), rel=1e-12)
        assert score.nfe == sum(one.nfe for one in each)
        assert (score.log_px_given_z, score.ok) == (None, True)
        assert len(set(bounds)) == CLASSES


def test_scores_are_the_same_in_traffic(models: Mapping[str, Served]) -> None:
    """Images with a class and without, of other jobs and in pieces, end as they do alone."""
    alone, _ = drive(Engine(models), [scoring("a", IMAGES, (4, 0, 4))])
    free, _ = drive(Engine(models), [scoring("b", IMAGES[:1], None)])
    limits = SchedulerLimits(tick=9, resident=11)
    together, _ = drive(
        Engine(models, limits),
        [
            scoring("b", IMAGES[:1], None),
            scoring("a", IMAGES, (4, 0, 4)),
            scoring("c", IMAGES, None),
        ],
    )
    assert together["a"] == alone["a"]
    assert together["b"] == free["b"]
    assert scored(together["c"])[0] == scored(free["b"])[0]


def test_one_class_that_fails_is_the_reason(models: Mapping[str, Served]) -> None:
    few = Adams(probes=1, tolerance_nats=1e-6, max_evaluations=8)
    outcomes, _ = drive(Engine(models), [scoring("a", IMAGES[:1], None, spec=few)])
    (score,) = scored(outcomes["a"])
    assert score.reason == "the limit on evaluations was reached"
    assert score.log_px_given_class is None


def test_readings_are_of_the_calibration_s_class(
    models: Mapping[str, Served], served: Served
) -> None:
    class Calibrated:
        def __init__(self, label: int) -> None:
            self.solver = Levels(levels=3, class_label=label)

    tasks: list[Any] = [AnomalyTask(Calibrated(label), 0, 0.1, False, IMAGES) for label in (1, 3)]  # type: ignore[arg-type]
    outcomes: Any = drive(Engine(models), [job(str(i), task) for i, task in enumerate(tasks)])[0]
    for index, task in enumerate(tasks):
        expected = read(served.denoiser, IMAGES, task.solver, 0)
        for found, one in zip(outcomes[str(index)].readings, expected, strict=True):
            assert np.array_equal(found.levels, one.levels)
    first, second = (outcomes[name].readings[0].levels for name in "01")
    assert not np.array_equal(first, second)
