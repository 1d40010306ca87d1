"""The store's interface. API processes put and wait; workers claim and complete."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Literal, Protocol

from service.jobs import Job, Outcome

Status = Literal["queued", "running", "succeeded", "failed", "cancelled", "timed-out"]


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a job; times are seconds since the epoch."""

    job: Job
    status: Status
    progress: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's hold on a job. A later claim of the same job has a higher epoch and wins.

    One that is to run `alone` was held by a worker that died. It begins with its first report: if
    the worker dies after that, it was this job's doing.
    """

    job: Job
    epoch: int
    alone: bool = False


class Store(Protocol):
    """Every method may raise StoreUnavailable."""

    async def put(self, job: Job) -> None:
        """Admit a job. Raises QueueFull when the bound on waiting work is reached."""
        ...

    async def claim(self, checkpoints: Collection[str]) -> Claim:
        """Wait for a job of one of these checkpoints and hold it: highest priority, then oldest."""
        ...

    async def renew(self, claims: Collection[Claim]) -> list[Claim]:
        """Say that these jobs are still worked on; those that are no longer held by their claim."""
        ...

    async def sweep(self) -> None:
        """End what waits past its deadline; take back what dead workers held. Any process may, and
        somebody should every third of a lease."""
        ...

    async def report(self, claim: Claim, progress: float) -> None:
        """Record progress, from 0 to 1."""
        ...

    async def complete(self, claim: Claim, outcome: Outcome) -> bool:
        """End a job, once: False when it had ended already or a later claim holds it."""
        ...

    async def release(self, claim: Claim) -> None:
        """Hand an unfinished job back to the queue."""
        ...

    async def cancel(self, job_id: str) -> None:
        """End a job that has not ended as cancelled; its worker hears of it."""
        ...

    async def record(self, job_id: str) -> Record:
        """What is known of a job. Raises UnknownJob."""
        ...

    async def wait(self, job_id: str) -> Record:
        """Wait until a job has ended, also while the store is away. Raises UnknownJob."""
        ...

    async def forget(self, job_id: str) -> None:
        """Drop an ended job with its result; one that has not ended, or is unknown, is left."""
        ...

    def cancellations(self) -> AsyncIterator[str]:
        """Ids of jobs that were cancelled while a worker held them, as it happens."""
        ...
