"""A job in memory, and how it stands."""

import asyncio
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Self

from service.jobs import UNFINISHED, Job, JobStatus
from service.store import news
from service.store.base import JobRecord, Key, Standing
from service.store.news import Advance, ProgressLog


@dataclass(slots=True)
class Entry:
    """A job and its standing. `order` sorts the queue, and survives a release. `waiters` is None
    for a job that nobody has to wait for. What remains without `record` is that it has ended."""

    standing: Standing
    record: JobRecord | None
    order: tuple[int, int]
    key: Key | None
    waiters: set[str] | None
    epoch: int = 0
    told: int = 0
    kept: deque[Advance] = field(default_factory=lambda: deque(maxlen=news.KEPT))
    watchers: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of(cls, job: Job, place: int, key: Key | None, attended: bool) -> Self:
        """A job that begins to wait."""
        order = (-job.priority, place)
        waiters = {job.id} if attended else None
        return cls(_queued(job, place), JobRecord(job, "queued"), order, key, waiters)

    @property
    def ended(self) -> bool:
        """Whether the job has ended."""
        return self.standing.status not in UNFINISHED

    @property
    def job(self) -> Job:
        """The job itself, which is there until it has ended."""
        assert self.record is not None
        return self.record.job

    @property
    def story(self) -> ProgressLog:
        """What watchers may be told."""
        status, progress = self.standing.status, self.standing.progress
        return ProgressLog(status, progress, self.told, tuple(self.kept))

    def turn(self, status: JobStatus, **more: float | None) -> None:
        """Change the standing, and tell who waits or watches."""
        changes = {"status": status, **more}
        self.standing = replace(self.standing, **changes)  # type: ignore[arg-type]
        if self.record is not None:
            self.record = replace(self.record, **changes)  # type: ignore[arg-type]
        self.changed.set()
        self.changed = asyncio.Event()


def _queued(job: Job, place: int) -> Standing:
    return Standing(
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
