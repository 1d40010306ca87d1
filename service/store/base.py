"""The store's interface. API processes put and wait; workers claim and complete."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from service.jobs import Job, JobStatus, Outcome
from service.store.news import News
from service.store.rules import Load


class Key(NamedTuple):
    """An idempotency key: `scope` names caller, path and key, `digest` what was asked."""

    scope: str
    digest: str


@dataclass(frozen=True, slots=True)
class Standing:
    """A job without its images; times are seconds since the epoch, `place` counts admissions."""

    id: str
    kind: str
    model: str
    checkpoint: str
    owner: str
    priority: int
    cost: int
    created_at: float
    deadline: float
    place: int
    status: JobStatus
    progress: float
    started_at: float | None
    finished_at: float | None


class Page(NamedTuple):
    """Some jobs of a list, and the place `before` which it goes on; None at its end."""

    jobs: list[Standing]
    before: int | None


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job with its images and its end; times are seconds since the epoch."""

    job: Job
    status: JobStatus
    progress: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's hold on a job, `since` then on the monotonic clock. A later claim of the same job
    has a higher epoch and wins.

    One that is to run `alone` was held by a worker that died. It begins with its first report: if
    the worker dies after that, it was this job's doing.
    """

    job: Job
    epoch: int
    alone: bool = False
    since: float = field(default_factory=time.monotonic, compare=False)


def always() -> bool:
    """Yes."""
    return True


class Store(Protocol):
    """Every method may raise StoreUnavailable. Ended jobs go in two steps: first their result, and
    after a while that there was one."""

    async def room(self, owner: str, cost: int) -> None:
        """See whether the owner's job of this cost could wait just now, before it is made. Raises
        QueueFull."""
        ...

    async def knows(self, key: Key) -> bool:
        """Whether a put with this key would join a job that is known, rather than admit one.
        Raises InvalidRequest (idempotency-mismatch)."""
        ...

    async def load(self) -> Load:
        """How much waits and runs, and how fast it drains."""
        ...

    async def put(self, job: Job, key: Key | None = None, attended: bool = False) -> str:
        """Admit a job; its id, or that of the job that has the same key and is remembered.

        An `attended` job lives for those who wait for it: each put is one of them, by its own job's
        id, and each has to `leave`, also one that raised StoreUnavailable. Raises QueueFull when a
        bound on waiting work is reached, and InvalidRequest (idempotency-mismatch) when the key was
        used for something else.
        """
        ...

    async def leave(self, job_id: str, waiter: str) -> None:
        """Whoever put `waiter` waits no longer for an attended job; to leave again changes nothing.
        With the last of them it is cancelled and forgotten, unless it has a key under which its
        result, or failure, may be asked for."""
        ...

    async def claim(
        self, checkpoints: Collection[str], alone: Callable[[], bool] = always
    ) -> Claim:
        """Wait for a job of one of these checkpoints and hold it. Owners take turns by the cost of
        their jobs; of one owner's the highest priority is first, then the oldest. One that is to
        run alone is taken only where `alone`, asked at each look, says so."""
        ...

    async def renew(self, claims: Collection[Claim]) -> list[Claim]:
        """Say that these jobs are still worked on; those that are no longer held by their claim."""
        ...

    async def sweep(self) -> None:
        """End what waits past its deadline; take back what dead workers held. Any process may, and
        somebody should every second."""
        ...

    async def report(self, claim: Claim, progress: float, preview: bytes = b"") -> bool:
        """Record progress, from 0 to 1, with a PNG if there is one; whether somebody watches."""
        ...

    async def complete(self, claim: Claim, outcome: Outcome) -> bool:
        """End a job, once: False when it had ended already or a later claim holds it."""
        ...

    async def release(self, claim: Claim) -> None:
        """Hand an unfinished job back to the queue."""
        ...

    async def cancel(self, job_id: str) -> None:
        """End a job that has not ended as cancelled; its worker hears of it. Raises UnknownJob."""
        ...

    async def standing(self, job_id: str) -> Standing:
        """What is known of a job. Raises UnknownJob."""
        ...

    async def jobs(
        self, owner: str | None, status: JobStatus | None, limit: int, before: int | None
    ) -> Page:
        """An owner's jobs, or everybody's, the latest first; those of a status; those admitted
        before a place. A page may hold fewer than `limit` and not be the last."""
        ...

    async def record(self, job_id: str) -> JobRecord:
        """A job as a whole. Raises UnknownJob, ResultExpired."""
        ...

    async def wait(self, job_id: str) -> JobRecord:
        """Wait until a job has ended, also while the store is away. Raises UnknownJob,
        ResultExpired. A job that was known and no longer is was lost with the store's data."""
        ...

    def watch(self, job_id: str, after: int | None) -> AsyncGenerator[News]:
        """What happens to a job, from where it stands or after the event of that number, until it
        has ended; also while the store is away. Raises UnknownJob."""
        ...

    async def expire(self, job_id: str) -> None:
        """Drop an ended job's result; one that has not ended, or is unknown, is left."""
        ...

    async def forget(self, job_id: str) -> None:
        """Drop all of an ended job; one that has not ended, or is unknown, is left."""
        ...

    def cancellations(self) -> AsyncIterator[str]:
        """Ids of jobs that were cancelled while a worker held them, as it happens."""
        ...
