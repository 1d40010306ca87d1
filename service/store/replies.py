"""Replies of Redis as objects of the store."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

from service.errors import ComputationFailed
from service.jobs import Job, JobStatus, Outcome
from service.kinds import KINDS
from service.store.base import JobSummary
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


# The end of the year 9999, the last that a client can be told.
LATEST_S = 253_402_300_800.0


class UnreadableError(ValueError):
    """Raised for a reply that cannot be read; its text is one clear line."""


def summary(job_id: str, flat: Sequence[bytes]) -> JobSummary:
    """Read a job's hash, names and values in turn. Raises UnreadableError."""
    try:
        return _summary(job_id, dict(zip(flat[::2], flat[1::2], strict=True)))
    except KeyError as error:
        raise UnreadableError(f"it has no field {error}") from error
    except (ValueError, OverflowError) as error:
        raise UnreadableError(str(error)) from error


def _summary(job_id: str, fields: Mapping[bytes, bytes]) -> JobSummary:
    """Read the fields that a summary has; what else a hash may hold is nobody's business here."""
    status, kind = cast(JobStatus, fields[b"status"].decode()), fields[b"kind"].decode()
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is unknown to this build")
    return JobSummary(
        id=job_id,
        kind=kind,
        model=fields[b"model"].decode(),
        checkpoint=fields[b"checkpoint"].decode(),
        owner=fields[b"owner"].decode(),
        priority=int(fields[b"priority"]),
        cost=int(fields[b"cost"]),
        created_at=float(fields[b"created_at"]),
        deadline=float(fields[b"deadline"]),
        place=int(fields[b"entry"].partition(b"-")[0]),
        status=status,
        progress=share(status, fields.get(b"progress")),
        started_at=seconds(fields.get(b"started_at")),
        finished_at=seconds(fields.get(b"finished_at")),
    )


def progress_log(
    status: bytes, progress: bytes, last_number: int, recent: Sequence[Any]
) -> ProgressLog:
    """Read the reply of the script `watch`; entries that cannot be read are passed over."""
    advances = []
    for entry, fields in recent:
        with suppress(ValueError):
            (_, at, _, preview), number = fields, int(entry.partition(b"-")[0])
            if number <= last_number and 0 <= float(at) <= 1:
                advances.append(Advance(number, float(at), preview))
    name = cast(JobStatus, status.decode())
    return ProgressLog(name, share(name, progress), last_number, advances)


def load(now: float, *numbers: bytes | int) -> Load:
    """Read a load at time `now`: jobs, cost, jobs done, their cost, and since when; from the script
    `load` also the running jobs, the dead letters, and the gaps with their milliseconds."""
    jobs, cost, done, done_cost, since, *rest = map(float, numbers)
    running, letters, gaps, gap_ms = map(int, rest or (0, 0, 0, 0))
    queue = int(jobs), int(cost), int(done), int(done_cost), now - since
    return Load(*queue, running, letters, gaps, gap_ms / 1000)


def told_gap(shard: int, from_ms: int, to_ms: int) -> str:
    """Return what an operator should know of a server that another replaced."""
    began, ended = (datetime.fromtimestamp(at / 1000, UTC).isoformat() for at in (from_ms, to_ms))
    return (
        f"the Redis of shard {shard} was replaced or started again: of the jobs that were accepted "
        f"there between {began} and {ended}, by its clock, some may be lost"
    )


def overload(now: float, *numbers: bytes | int) -> Load:
    """Read the reply of the scripts when too much is queued: the numbers of `load`, then the
    owner's jobs, their cost, and the number of owners."""
    *queue, own, own_cost, owners = numbers
    share = Share(int(own), int(own_cost))
    return replace(load(now, *queue), own=share, owners=int(owners))


def seconds(field: bytes | None) -> float | None:
    """Read a time in seconds since the epoch; None where there is none, or nothing that is one."""
    with suppress(ValueError):
        if field is not None and 0 <= float(field) < LATEST_S:
            return float(field)
    return None


def share(status: str, field: bytes | None) -> float:
    """Read the progress of a job of this status; 0 where nothing is one."""
    if status == "succeeded":
        return 1.0
    with suppress(ValueError):
        if field is not None and 0 <= float(field) <= 1:
            return float(field)
    return 0.0


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
