"""A result depends on its own row alone: the same bytes alone, in a crowd, and in traffic."""

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_engine import CHECKPOINT, drive, images, job, samples, scores, short, small_served

from models.schema.specs import Ddpm
from models.solvers import SAMPLERS
from service.engine.engine import Engine
from service.engine.scheduler import SchedulerLimits
from service.jobs import Job, Outcome
from service.kinds.likelihoods.task import ScoreResult
from service.kinds.samples.task import SampleResult, SampleTask
from service.rows import Served

TRAFFIC = [
    *(
        samples(f"traffic {name}", short(name), 5 + place, place)
        for place, name in enumerate(SAMPLERS)
    ),
    samples("traffic of other settings", Ddpm(steps=11, grid="time"), 9, 1),
    job("traffic with a latent", SampleTask(Ddpm(steps=3), 1, 2, latent=(3,))),
    scores("traffic of scoring", images(3, 5)),
    scores("traffic of probes", images(1, 6), draws=2, probes=2),
]


def sampled(outcome: Outcome) -> SampleResult:
    assert isinstance(outcome, SampleResult), outcome
    return outcome


def in_traffic(models: Mapping[str, Served], subject: Job, limits: SchedulerLimits) -> Outcome:
    """The subject's outcome when others come before and while it runs."""
    early, late, later = TRAFFIC[:4], TRAFFIC[4:6], TRAFFIC[6:]
    outcomes, _ = drive(Engine(models, limits), early, {1: [subject], 3: late, 4: later})
    return outcomes[subject.id]


@pytest.mark.parametrize("name", SAMPLERS)
def test_images_are_the_same_alone_in_64_and_in_traffic(
    models: Mapping[str, Served], name: str
) -> None:
    alone, _ = drive(Engine(models), [samples("subject", short(name), 1)])
    crowd, _ = drive(Engine(models), [samples("subject", short(name), 64)])
    busy = in_traffic(
        models, samples("subject", short(name), 64), SchedulerLimits(tick=24, resident=80)
    )
    one, many, mixed = sampled(alone["subject"]), sampled(crowd["subject"]), sampled(busy)
    assert np.array_equal(one.images[0], many.images[0])
    assert np.array_equal(many.images, mixed.images)
    assert many.acceptance_rate == mixed.acceptance_rate
    assert (many.nfe, many.latents) == (mixed.nfe, mixed.latents)


def test_scores_are_the_same_alone_in_64_and_in_traffic(models: Mapping[str, Served]) -> None:
    tokens = images(64)
    alone, _ = drive(Engine(models), [scores("subject", tokens[17:18])])
    crowd, _ = drive(Engine(models), [scores("subject", tokens)])
    busy = in_traffic(models, scores("subject", tokens), SchedulerLimits(tick=60, resident=80))
    (one,), many = alone["subject"].scores, crowd["subject"].scores
    assert isinstance(busy, ScoreResult)
    assert one == many[17]
    assert many == busy.scores


NAMES = st.sampled_from(sorted(SAMPLERS))


@settings(max_examples=10, deadline=None)
@given(
    subject=NAMES,
    others=st.lists(st.tuples(NAMES, st.integers(1, 20), st.integers(0, 6)), max_size=4),
    arrival=st.integers(0, 4),
    tick=st.integers(1, 40),
)
def test_whatever_the_traffic(
    subject: str, others: list[tuple[str, int, int]], arrival: int, tick: int
) -> None:
    mine = samples("subject", short(subject), 4)
    alone, _ = drive(Engine(MODELS), [mine])
    later: dict[int, list[Job]] = {arrival: [mine]}
    for place, (name, count, when) in enumerate(others):
        later.setdefault(when, []).append(samples(f"other {place}", short(name), count, place))
    outcomes, _ = drive(Engine(MODELS, SchedulerLimits(tick=tick, resident=2 * tick)), (), later)
    assert np.array_equal(sampled(outcomes["subject"]).images, sampled(alone["subject"]).images)


MODELS = {CHECKPOINT: small_served()}
