"""The entry of a job in the store in memory."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field, replace
from typing import Self

from service.jobs import UNFINISHED, Job, JobStatus
from service.store import news
from service.store.base import JobRecord, JobSummary, Key, Page
from service.store.news import Advance, News, ProgressLog


@dataclass(slots=True)
class Entry:
    """A job and its state. `order` sorts the queue, and survives a release. `waiters` is None for a
    job that is not attended. `record` is None once the result has been dropped."""

    summary: JobSummary
    record: JobRecord | None
    order: tuple[int, int]
    key: Key | None
    waiters: set[str] | None
    epoch: int = 0
    last_number: int = 0
    recent: deque[Advance] = field(default_factory=lambda: deque(maxlen=news.RECENT))
    watchers: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of(cls, job: Job, place: int, key: Key | None, attended: bool) -> Self:
        """Make the entry of a job that begins to wait."""
        order = (-job.priority, place)
        waiters = {job.id} if attended else None
        return cls(_queued(job, place), JobRecord(job, "queued"), order, key, waiters)

    @property
    def ended(self) -> bool:
        """Whether the job has ended."""
        return self.summary.status not in UNFINISHED

    @property
    def job(self) -> Job:
        """The job itself, which is there as long as it has not ended."""
        assert self.record is not None
        return self.record.job

    @property
    def progress_log(self) -> ProgressLog:
        """The job's progress for those who watch it."""
        status, progress = self.summary.status, self.summary.progress
        return ProgressLog(status, progress, self.last_number, tuple(self.recent))

    async def watch(self, after: int | None) -> AsyncGenerator[News]:
        """Yield what happens to the job, as `Store.watch` describes."""
        self.watchers += 1
        try:
            while True:
                changed, ended = self.changed, self.ended
                for one in self.progress_log.since(after):
                    yield one
                    after = one.number
                if ended:
                    return
                await changed.wait()
        finally:
            self.watchers -= 1

    def change(self, status: JobStatus, **more: float | None) -> None:
        """Change the state, and wake those who wait for the job or watch it."""
        changes = {"status": status, **more}
        self.summary = replace(self.summary, **changes)  # type: ignore[arg-type]
        if self.record is not None:
            self.record = replace(self.record, **changes)  # type: ignore[arg-type]
        self.changed.set()
        self.changed = asyncio.Event()


def page(
    entries: Iterable[Entry],
    owner: str | None,
    status: JobStatus | None,
    limit: int,
    before: int | None,
) -> Page:
    """List the jobs of entries, which have the latest first, as `Store.jobs` describes."""
    found: list[JobSummary] = []
    for entry in entries:
        job = entry.summary
        if (
            owner in (None, job.owner)
            and status in (None, job.status)
            and (before is None or job.place < before)
        ):
            if len(found) == limit:
                return Page(found, found[-1].place)
            found.append(job)
    return Page(found, None)


def _queued(job: Job, place: int) -> JobSummary:
    return JobSummary(
        id=job.id,
        kind=job.task.kind,
        model=job.model,
        checkpoint=job.checkpoint,
        owner=job.owner,
        priority=job.priority,
        cost=job.cost,
        created_at=job.created_at,
        deadline=job.deadline,
        place=place,
        status="queued",
        progress=0.0,
        started_at=None,
        finished_at=None,
    )
