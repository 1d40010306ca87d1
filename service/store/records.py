"""The jobs in Redis, as one process reads them. One that cannot be read fails alone, or is left out
of a list."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, get_args

from service.errors import ComputationFailed, JobLost, ServiceError, UnknownJob
from service.jobs import UNFINISHED, Job, JobStatus
from service.store import keys, replies, rules
from service.store.base import JobRecord, JobSummary, Page
from service.store.bounds import REMEMBERED_S, Bounds
from service.store.ids import made_at
from service.store.replies import UnreadableError
from service.store.scripts import LOST_FOR_S, Scripts
from service.store.wire import encode_outcome

# Jobs that one call of `page` looks at: Redis serves nobody else meanwhile.
LOOKED_AT = 2_000
_ENDED = frozenset(one.encode() for one in get_args(JobStatus) if one not in UNFINISHED)


class Records:
    """The jobs of one shard. Every method may raise StoreUnavailable."""

    def __init__(self, scripts: Scripts, bounds: Bounds, clock: Callable[[], float]) -> None:
        self._scripts, self._clock = scripts, clock
        self._kept_s, self._remembered_s = bounds.kept_s, bounds.kept_s + REMEMBERED_S

    async def missing(self, job_id: str) -> UnknownJob:
        """Return the error for a job that is not there: unknown, or lost with the data."""
        made, now = made_at(job_id), self._clock()
        if made is None or not now - LOST_FOR_S < made <= now:
            return rules.unknown(job_id)
        why = await self._scripts.run("missing", int(1000 * made))
        if why == b"gap":
            return JobLost(
                f"the queue's server was replaced when job {job_id} was queued, and the new one "
                "does not know it; send it again"
            )
        if why:
            return JobLost(f"the queue lost its data, and job {job_id} with it; send it again")
        return rules.unknown(job_id)

    async def summary(self, job_id: str) -> JobSummary:
        """Return the summary of a job. Raises UnknownJob, ComputationFailed."""
        flat, *task = await self._scripts.run("summary", job_id)
        if not flat and task and task[0] is not None:
            await self._revive(job_id, task[0])
            flat = (await self._scripts.run("summary", job_id))[0]
        if not flat:
            raise await self.missing(job_id)
        try:
            found = replies.summary(job_id, flat)
        except UnreadableError as error:
            found = await self._mended(job_id, error)
        if self._is_older(found.finished_at, self._remembered_s):
            raise rules.unknown(job_id)
        return found

    async def page(
        self, owner: str | None, status: JobStatus | None, limit: int, before: int | None
    ) -> Page:
        """List jobs, as `Store.jobs` describes."""
        index = self._scripts.name(keys.INDEX if owner is None else keys.OWNED + owner)
        below = "+inf" if before is None else f"({before}"
        listed, last = await self._scripts.run(
            *("list", index, int(owner is not None), owner or "", status or ""),
            *(limit, below, LOOKED_AT),
        )
        found = []
        for job_id, flat in listed:
            try:
                found.append(replies.summary(job_id.decode(), flat))
            except (UnreadableError, UnicodeDecodeError) as error:
                self._scripts.damage.tell("job", job_id.decode(errors="replace"), str(error))
        # A place that is no number ends the list.
        more = float(last or "nan")
        return Page(found, int(more) if abs(more) < 2**63 else None)

    async def record(self, job_id: str, ended: bool = False) -> JobRecord | None:
        """Return a whole job, or None where it has not `ended` and should have. Raises UnknownJob,
        ResultExpired, and the error of a job whose task cannot be read."""
        reply = await self._ended(job_id) if ended else None
        reply = reply or await self._scripts.run("record", job_id, int(ended))
        if not reply:
            return None
        (status, progress, started, finished), task, result = reply
        at = replies.seconds(finished)
        if status is None:
            raise await self.missing(job_id)
        if self._is_older(at, self._remembered_s):
            raise rules.unknown(job_id)
        outcome = None if result is None else replies.outcome(result)
        is_gone = outcome is None and status.decode() not in UNFINISHED
        if is_gone or self._is_older(at, self._kept_s):
            raise rules.expired(job_id)
        return JobRecord(
            job=_job(job_id, task, outcome),
            status=status.decode(),
            progress=replies.share(status.decode(), progress),
            started_at=replies.seconds(started),
            finished_at=at,
            outcome=outcome,
        )

    async def _ended(self, job_id: str) -> list[Any] | None:
        """Return what the script `record` does of a job that has ended, by plain reads; None where
        only the script can tell."""
        name = self._scripts.name
        fields, texts = await self._scripts.read(
            "record",
            ("HMGET", name(keys.JOB + job_id), "status", "progress", "started_at", "finished_at"),
            ("MGET", name(keys.TASK + job_id), name(keys.RESULT + job_id)),
        )
        # A job that has ended changes no more.
        if not isinstance(fields, list) or fields[0] not in _ENDED or not isinstance(texts, list):
            return None
        return [fields, *texts]

    async def _mended(self, job_id: str, error: UnreadableError) -> JobSummary:
        """Write the fields that describe a job again, from its task. Raises ComputationFailed where
        that is not to be had."""
        self._scripts.damage.tell("job", job_id, str(error))
        try:
            _, task, _ = await self._scripts.run("record", job_id, 0)
            job = replies.job(task or b"")
            await self._scripts.run("describe", job_id, *replies.descriptive_fields(job))
            flat = (await self._scripts.run("summary", job_id))[0]
            return replies.summary(job_id, flat)
        except (UnreadableError, ComputationFailed):
            failed = ComputationFailed(f"the record of this job cannot be read: {error}")
            failed.job = job_id
            raise failed from error

    async def _revive(self, job_id: str, task: bytes) -> None:
        """Fail a job of which only the task is left, so that its client is told."""
        with suppress(ComputationFailed):
            job = replies.job(task)
            reason = ComputationFailed("the record of this job was lost")
            reason.job = job_id
            await self._scripts.run(
                *("revive", job_id, job.deadline, job.cost, replies.queue(job)),
                *(encode_outcome(reason), *replies.descriptive_fields(job)),
            )

    def _is_older(self, ended: float | None, age: float) -> bool:
        return ended is not None and ended < self._clock() - age


def _job(job_id: str, task: bytes | None, outcome: Any) -> Job:
    """Read a job's task. Raises the job's own error where it has failed because of that."""
    try:
        if task is None:
            raise rules.expired(job_id)
        return replies.job(task)
    except ServiceError:
        if isinstance(outcome, ServiceError):
            outcome.job = job_id
            raise outcome from None
        raise
