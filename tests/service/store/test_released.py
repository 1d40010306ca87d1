"""Builds that meet in a rolling update read each other's jobs and outcomes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, make_dataclass
from typing import Any, ClassVar

import msgpack
import pytest
from documents import JOBS, OUTCOMES
from frozen_reader import RELEASES, STRICT_ON_OUTCOMES, Release, UnreadError
from pydantic import TypeAdapter
from store_setup import alike

from models.schema.scores import Score
from service.errors import ComputationFailed, ServiceError
from service.kinds import KINDS
from service.kinds.likelihoods.task import ScoreResult
from service.store.wire import decode_job, decode_outcome, encode_job, encode_outcome, one_of

releases = pytest.mark.parametrize("release", RELEASES, ids=str)
# Its keys are data, not fields.
DATA = ("values", "fields")


def known(what: str) -> list[tuple[Release, str]]:
    """Each release with the documents of today that it knows the form of."""
    return [(release, name) for release in RELEASES for name in release.written(what)]


def equal(one: object, other: object) -> bool:
    if isinstance(one, ServiceError):
        return type(one) is type(other) and vars(one) == vars(other)
    return alike(one, other)


def records(part: Any) -> Iterator[dict[str, Any]]:
    """Every map of fields in a document."""
    if isinstance(part, dict):
        yield part
    inside = part.items() if isinstance(part, dict) else enumerate(part)
    for name, value in inside:
        if isinstance(value, dict | list) and name not in DATA:
            yield from records(value)


def grown() -> bytes:
    """An outcome of a newer build, whose scores have one more field."""

    @dataclass(frozen=True)
    class Result:
        kind: ClassVar[str] = "likelihoods"
        scores: tuple[NewerScore, ...]
        execution: str

    result = Result((NewerScore(95, log_px_lower_bound=-2.5, newer=1.5),), "cpu/test")
    adapter = TypeAdapter(one_of({"likelihoods": Result, "nothing": Score}))
    return msgpack.packb({"version": 1, "outcome": adapter.dump_python(result)})


NewerScore = make_dataclass(
    "NewerScore", [("newer", float | None, None)], bases=(Score,), frozen=True
)


def test_every_kind_of_work_has_documents() -> None:
    assert KINDS.keys() <= JOBS.keys()
    assert KINDS.keys() <= OUTCOMES.keys()


@releases
def test_jobs_that_a_release_wrote_are_read(release: Release) -> None:
    found = {name: decode_job(data) for name, data in release.written("job").items()}
    assert found
    for name, job in found.items():
        assert equal(job, JOBS[name]), name


@releases
def test_outcomes_that_a_release_wrote_are_read(release: Release) -> None:
    found = {name: decode_outcome(data) for name, data in release.written("outcome").items()}
    assert found
    for name, outcome in found.items():
        assert equal(outcome, OUTCOMES[name]), name


@pytest.mark.parametrize(("release", "name"), known("job"), ids=str)
def test_a_release_reads_the_jobs_that_this_build_writes(release: Release, name: str) -> None:
    release.read_job(encode_job(JOBS[name]))


@pytest.mark.parametrize(("release", "name"), known("outcome"), ids=str)
def test_a_release_reads_the_outcomes_that_this_build_writes(release: Release, name: str) -> None:
    strictly = release.name in STRICT_ON_OUTCOMES
    release.read_outcome(encode_outcome(OUTCOMES[name]), strictly)


def test_a_field_that_only_a_newer_worker_knows_is_passed_over() -> None:
    assert decode_outcome(grown()) == ScoreResult((Score(95, log_px_lower_bound=-2.5),), "cpu/test")


@pytest.mark.parametrize("name", OUTCOMES)
def test_new_fields_are_passed_over_wherever_they_are(name: str) -> None:
    document = msgpack.unpackb(encode_outcome(OUTCOMES[name]))
    for record in list(records(document)):
        record["new"] = {"of": ["a", "newer", "build"]}
    assert equal(decode_outcome(msgpack.packb(document)), OUTCOMES[name])


def test_a_field_that_an_older_worker_leaves_out_has_its_default() -> None:
    document = msgpack.unpackb(encode_outcome(OUTCOMES["likelihoods"]))
    document["outcome"]["scores"] = [{"nfe": 95, "log_px_lower_bound": -2.5}]
    assert decode_outcome(msgpack.packb(document)) == ScoreResult(
        (Score(95, log_px_lower_bound=-2.5),), "cpu/test"
    )


def test_an_error_that_only_a_newer_worker_knows_is_a_failed_computation() -> None:
    document = msgpack.unpackb(encode_outcome(OUTCOMES["error"]))
    document["outcome"]["name"] = "DeviceLost"
    read = decode_outcome(msgpack.packb(document))
    assert type(read) is ComputationFailed
    assert vars(read) == vars(OUTCOMES["error"])


@releases
def test_a_new_field_of_a_score_is_refused_with_what_to_do_by_a_strict_release(
    release: Release,
) -> None:
    document = msgpack.unpackb(release.written("outcome")["likelihoods"])
    document["outcome"]["scores"][1]["newer"] = 1.5
    newer = msgpack.packb(document)
    release.read_outcome(newer)
    with pytest.raises(UnreadError) as refusal:
        release.read_outcome(newer, strictly=True)
    assert "$.outcome.scores[1]" in str(refusal.value)
    assert "'newer' was unexpected" in str(refusal.value)
    assert "CHANGELOG.md" in str(refusal.value)
    assert "STRICT_ON_OUTCOMES" in str(refusal.value)


@releases
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda job: job.update(surplus=1), r"\$: .*'surplus' was unexpected"),
        (lambda job: job["task"].update(surplus=1), r"\$.task: .*'surplus' was unexpected"),
        (lambda job: job["task"].pop("seed"), r"\$.task: 'seed' is a required property"),
        (lambda job: job["task"].update(kind="poems"), r"\$.task: kind 'poems' is unknown"),
        (lambda job: job["task"]["images"].update(data=5), r"\$.task.images.data: 5 is not"),
    ],
)
def test_a_job_that_a_release_refuses_is_told_with_its_fault(
    release: Release, change: Callable[[dict[str, Any]], object], fault: str
) -> None:
    document = msgpack.unpackb(encode_job(JOBS["likelihoods"]))
    change(document)
    with pytest.raises(UnreadError, match=fault) as refusal:
        release.read_job(msgpack.packb(document))
    assert "JOB_VERSIONS" in str(refusal.value)


@releases
def test_a_job_of_a_newer_version_is_refused_by_a_release_as_a_whole(release: Release) -> None:
    document = msgpack.unpackb(encode_job(JOBS["likelihoods"]))
    release.read_job(msgpack.packb(document | {"version": 3, "surplus": 1}))


@releases
def test_a_field_that_is_gone_from_an_outcome_is_told_also_by_a_tolerant_release(
    release: Release,
) -> None:
    document = msgpack.unpackb(encode_outcome(OUTCOMES["likelihoods"]))
    del document["outcome"]["execution"]
    with pytest.raises(UnreadError, match=r"\$.outcome: 'execution' is a required property"):
        release.read_outcome(msgpack.packb(document))
