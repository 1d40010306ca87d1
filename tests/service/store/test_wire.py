"""Bytes of jobs and outcomes: the way there and back, and what is no job."""

import math
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from small_calibration import small_calibration
from tiny_zoo import CONFIG

from models.anomaly.readings import Reading
from models.schema.scores import Score
from models.schema.specs import Adams, Ddpm, FlowPath, RtkMala, RtkUld
from service import errors
from service.jobs import Job, Tokens
from service.kinds.anomalies.task import AnomalyResult, AnomalyTask
from service.kinds.likelihoods.task import ScoreResult, ScoreTask
from service.kinds.samples.task import SampleResult, SampleTask
from service.kinds.schedules.task import ScheduleTask, Tabulation
from service.store.wire import (
    WireError,
    decode_job,
    decode_outcome,
    encode_job,
    encode_outcome,
)

seeds = st.integers(0, 2**53 - 1)
numbers = st.floats(allow_nan=False)
tokens = st.tuples(*[st.integers(0, 3)] * 4).flatmap(lambda shape: arrays(np.uint8, shape))
specs = st.one_of(
    st.builds(Ddpm, steps=st.integers(1, 1000), power=st.floats(0.25, 4)),
    st.just(RtkMala(segments=2, step_sizes=(0.25, 1e-6), points=(0.3,))),
    st.builds(RtkUld, friction=st.floats(1e-3, 100)),
)
latents = st.none() | st.lists(st.integers(0, 99)).map(tuple)
sample_tasks = st.builds(SampleTask, specs, seeds, st.integers(1, 1024), latents, latents)
score_tasks = st.builds(
    ScoreTask,
    st.builds(Adams, tolerance_nats=st.floats(1e-6, 10)),
    seeds,
    st.integers(1, 64),
    tokens,
    labels=latents,
)
calibrations = st.builds(
    small_calibration,
    st.text(),
    st.just(CONFIG),
    st.builds(FlowPath, steps=st.integers(2, 1000)),
    st.floats(allow_nan=False, allow_infinity=False),
)
anomaly_tasks = st.builds(AnomalyTask, calibrations, seeds, st.floats(0, 1), st.booleans(), tokens)
schedule_tasks = st.builds(
    ScheduleTask,
    st.builds(Tabulation, points=st.integers(9, 257)),
    st.lists(st.lists(st.integers(0, 99)).map(tuple)).map(tuple),
    tokens,
)
jobs = st.builds(
    Job,
    id=st.text(),
    checkpoint=st.text(),
    task=sample_tasks | score_tasks | anomaly_tasks | schedule_tasks,
    deadline=numbers,
    created_at=numbers,
    owner=st.text(),
    priority=st.integers(-(2**31), 2**31),
    model=st.text(),
    cost=st.integers(1, 10**9),
    request_id=st.text(),
    trace=st.text(),
)
maybe = st.none() | numbers
by_class = st.none() | st.lists(numbers).map(tuple)
scores = st.builds(
    Score,
    st.integers(0, 10**6),
    *[maybe] * 10,
    reason=st.none() | st.text(),
    trace_degrees_of_freedom=maybe,
    total_standard_error=maybe,
    draws=st.none() | st.integers(1, 100),
    solves=st.none() | st.integers(1, 100),
    precise=st.none() | st.booleans(),
    log_px_given_class=by_class,
)
contributions = st.tuples(*[st.integers(0, 3)] * 3).flatmap(lambda shape: arrays(np.float32, shape))
readings = st.builds(
    Reading,
    st.integers(0, 10**6),
    st.none() | st.dictionaries(st.text(), numbers),
    st.none() | contributions,
    st.none() | st.text(),
)
retries = st.integers(0, 1000)
problems = st.one_of(
    st.builds(errors.ComputationFailed, st.text()),
    st.builds(errors.DeadlineExceeded, st.text()),
    st.builds(errors.QueueFull, st.text(), retries),
    st.builds(errors.TooLarge, st.text(), st.text()),
    st.builds(errors.InvalidRequest.at, st.text(), st.text(), st.text()),
)

JOB = Job("j", "a" * 64, SampleTask(Ddpm(), 1, 2), math.inf, 0.0)
SCORING = replace(JOB, task=ScoreTask(Adams(), 0, 1, np.zeros((2, 2, 2, 1), np.uint8)))


@given(jobs)
def test_a_job_comes_back_as_it_was(job: Job) -> None:
    back = decode_job(encode_job(job))
    if isinstance(job.task, ScoreTask | AnomalyTask | ScheduleTask):
        assert isinstance(back.task, ScoreTask | AnomalyTask | ScheduleTask)
        np.testing.assert_array_equal(back.task.images, job.task.images)
        assert back.task.images.flags.writeable
        back = replace(back, task=replace(back.task, images=job.task.images))
    assert back == job


@given(
    tokens,
    st.lists(st.integers(0, 10**6)).map(tuple),
    st.lists(maybe).map(tuple),
    st.lists(st.lists(st.integers(0, 99)).map(tuple)).map(tuple),
    st.text(),
)
def test_samples_come_back_as_they_were(
    images: Tokens,
    nfe: tuple[int, ...],
    rates: tuple[float | None, ...],
    latents: tuple[tuple[int, ...], ...],
    execution: str,
) -> None:
    result = SampleResult(images, nfe, rates, latents, execution)
    back = decode_outcome(encode_outcome(result))
    assert isinstance(back, SampleResult)
    np.testing.assert_array_equal(back.images, images)
    assert back.images.shape == images.shape
    assert replace(back, images=images) == result


@given(st.lists(scores).map(tuple), st.text())
def test_scores_come_back_as_they_were(found: tuple[Score, ...], execution: str) -> None:
    result = ScoreResult(found, execution)
    assert decode_outcome(encode_outcome(result)) == result


@given(st.lists(readings), st.text())
def test_readings_come_back_as_they_were(found: list[Reading], execution: str) -> None:
    back = decode_outcome(encode_outcome(AnomalyResult(tuple(found), execution)))
    assert isinstance(back, AnomalyResult)
    assert back.execution == execution
    for one, other in zip(back.readings, found, strict=True):
        if other.contribution is not None:
            assert one.contribution is not None
            assert one.contribution.dtype == np.float32
            np.testing.assert_array_equal(one.contribution, other.contribution)
            one = replace(one, contribution=other.contribution)
        assert one == other


@given(problems, st.none() | st.text())
def test_errors_come_back_as_they_were(error: errors.ServiceError, job: str | None) -> None:
    error.job = job
    back = decode_outcome(encode_outcome(error))
    assert isinstance(back, errors.ServiceError)
    assert type(back) is type(error)
    assert vars(back) == vars(error)
    assert (back.code, str(back)) == (error.code, str(error))


def test_an_error_unknown_to_the_wire_travels_as_its_nearest_kin() -> None:
    class NewsError(errors.ComputationFailed):
        pass

    assert type(decode_outcome(encode_outcome(NewsError("?")))) is errors.ComputationFailed


@given(st.data())
def test_truncated_bytes_are_refused(data: st.DataObject) -> None:
    whole = encode_job(SCORING)
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(WireError):
        decode_job(part)


@given(st.binary() | st.recursive(st.none() | st.text(), st.lists).map(msgpack.packb))
def test_other_bytes_are_refused(data: bytes) -> None:
    for decode in (decode_job, decode_outcome):
        with pytest.raises(WireError):
            decode(data)


def changed(data: bytes, *path: str, to: object) -> bytes:
    """The document with one field, found by its path, replaced."""
    document = msgpack.unpackb(data)
    inner = document
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = to
    return msgpack.packb(document)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("version",), 3, "version 3; this build reads 1 and 2"),
        (("task", "kind"), "pickles", "task"),
        (("task", "solver"), {"name": "adams", "probes": 0}, "probes"),
        (("task", "images", "shape"), [2, 2, 2, 2], "8 bytes are no array of shape [2, 2, 2, 2]"),
        (("task", "images", "shape"), [-1, -2, 2, 2], "shape"),
        (("task", "images", "shape"), [8], "shape"),
        (("task", "images", "data"), 5, "data"),
        (("surplus",), 1, "surplus"),
    ],
)
def test_a_field_that_is_wrong_is_named(path: tuple[str, ...], value: object, words: str) -> None:
    with pytest.raises(WireError) as refusal:
        decode_job(changed(encode_job(SCORING), *path, to=value))
    assert words in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1


def test_a_job_of_the_build_before_is_read() -> None:
    document = msgpack.unpackb(encode_job(JOB))
    del document["request_id"], document["trace"]
    assert decode_job(msgpack.packb(document | {"version": 1})) == JOB


def test_an_outcome_of_another_version_is_refused() -> None:
    data = encode_outcome(errors.ComputationFailed("x"))
    with pytest.raises(WireError, match=r"version 2; this build reads 1$"):
        decode_outcome(changed(data, "version", to=2))


def test_a_map_that_is_too_short_is_refused() -> None:
    reading = Reading(1, {}, np.zeros((2, 2, 1), np.float32))
    data = encode_outcome(AnomalyResult((reading,), "cpu/test"))
    (told,) = msgpack.unpackb(data)["outcome"]["readings"]
    told["contribution"]["shape"] = [4, 4, 1]
    with pytest.raises(WireError, match="16 bytes are no array of shape"):
        decode_outcome(changed(data, "outcome", "readings", to=[told]))


def test_an_outcome_of_no_known_kind_is_refused() -> None:
    data = encode_outcome(errors.ComputationFailed("x"))
    with pytest.raises(WireError, match="poems"):
        decode_outcome(changed(data, "outcome", "kind", to="poems"))
    with pytest.raises(WireError, match="outcome"):
        decode_outcome(msgpack.packb({"version": 1}))
