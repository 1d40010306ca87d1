"""Replies of Redis as objects of the store."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from service.errors import ComputationFailed
from service.jobs import Job, JobStatus, Outcome
from service.store.base import JobSummary, Page
from service.store.news import Advance, ProgressLog
from service.store.rules import Load, Share
from service.store.wire import WireError, decode_job, decode_outcome


def descriptive_fields(job: Job) -> list[str | float]:
    """Return the fields of a job's hash that never change, as names and values in turn."""
    return [
        *("kind", job.task.kind, "model", job.model, "checkpoint", job.checkpoint),
        *("owner", job.owner, "priority", job.priority, "created_at", job.created_at),
        *(() if job.callback_url is None else ("callback_url", job.callback_url)),
    ]


def queue(job: Job) -> str:
    """The queue that a job waits in."""
    name = f"{job.checkpoint}:{job.priority}"
    return f"{name}:{job.owner}" if job.owner else name


def summary(job_id: str, fields: Mapping[bytes, bytes]) -> JobSummary:
    """Read a job's hash."""
    text = {name.decode(): value.decode() for name, value in fields.items()}
    status = cast(JobStatus, text["status"])
    return JobSummary(
        id=job_id,
        kind=text["kind"],
        model=text["model"],
        checkpoint=text["checkpoint"],
        owner=text["owner"],
        priority=int(text["priority"]),
        cost=int(text["cost"]),
        created_at=float(text["created_at"]),
        deadline=float(text["deadline"]),
        place=int(text["entry"].partition("-")[0]),
        status=status,
        progress=1.0 if status == "succeeded" else float(text.get("progress", 0)),
        started_at=seconds(fields.get(b"started_at")),
        finished_at=seconds(fields.get(b"finished_at")),
    )


def page(listed: Sequence[Any], last: bytes) -> Page:
    """Read the reply of the script `list`."""
    jobs = [
        summary(job_id.decode(), dict(zip(flat[::2], flat[1::2], strict=True)))
        for job_id, flat in listed
    ]
    return Page(jobs, int(float(last)) if last else None)


def progress_log(
    status: bytes, progress: bytes, last_number: int, recent: Sequence[Any]
) -> ProgressLog:
    """Read the reply of the script `watch`."""
    advances = []
    for entry, (_, at, _, preview) in recent:
        number = int(entry.partition(b"-")[0])
        advances.append(Advance(number, float(at), preview))
    name = cast(JobStatus, status.decode())
    return ProgressLog(name, 1.0 if name == "succeeded" else float(progress), last_number, advances)


def load(now: float, *numbers: bytes | int) -> Load:
    """Read a load at time `now`: jobs, cost, jobs done, their cost, and since when; from the script
    `load` also the running jobs and the dead letters."""
    jobs, cost, done, done_cost, since, *rest = map(float, numbers)
    running, letters = map(int, rest or (0, 0))
    return Load(int(jobs), int(cost), int(done), int(done_cost), now - since, running, letters)


def overload(now: float, *numbers: bytes | int) -> Load:
    """Read the reply of the scripts when too much is queued: the numbers of `load`, then the
    owner's jobs, their cost, and the number of owners."""
    *queue, own, own_cost, owners = numbers
    share = Share(int(own), int(own_cost))
    return replace(load(now, *queue), own=share, owners=int(owners))


def seconds(field: bytes | None) -> float | None:
    """Read a time in seconds, if there is one."""
    return None if field is None else float(field)


def job(data: bytes) -> Job:
    """Decode a job. Raises ComputationFailed for one that this build cannot read."""
    try:
        return decode_job(data)
    except WireError as error:
        raise ComputationFailed(f"the job cannot be read: {error}") from error


def outcome(data: bytes) -> Outcome:
    """Decode an outcome; one that this build cannot read becomes ComputationFailed."""
    try:
        return decode_outcome(data)
    except WireError as error:
        return ComputationFailed(f"the result cannot be read: {error}")
