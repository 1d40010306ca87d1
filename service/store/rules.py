"""What every store does alike."""

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass

from service.errors import (
    DeadlineExceeded,
    InvalidRequest,
    JobCancelled,
    QueueFull,
    ResultExpired,
    ServiceError,
    UnknownJob,
)
from service.jobs import JobStatus, Outcome
from service.store.bounds import Bounds

# Of the latest ends, so many tell the rate at which the queue drains.
WINDOW = 64
_UNMEASURED_S = 5
_LONGEST_S = 300


# What a request with the key of such a job is not answered by.
WITHOUT_ANSWER: frozenset[JobStatus] = frozenset({"cancelled", "timed-out"})


def status_of(outcome: Outcome) -> JobStatus:
    """What a job with this outcome is."""
    match outcome:
        case JobCancelled():
            return "cancelled"
        case DeadlineExceeded():
            return "timed-out"
        case ServiceError():
            return "failed"
        case _:
            return "succeeded"


def cancelled() -> JobCancelled:
    """The end of a job that somebody cancelled."""
    return JobCancelled("the job was cancelled")


def too_late() -> DeadlineExceeded:
    """The end of a job that nobody took in time."""
    return DeadlineExceeded("time ran out while the job was queued")


def unknown(job_id: str) -> UnknownJob:
    """No such job, or none that the caller may know of."""
    return UnknownJob(f"no job {job_id!r}")


def expired(job_id: str) -> ResultExpired:
    """The job has ended, but what it came to is gone."""
    return ResultExpired(f"the result of job {job_id} is no longer kept")


def mismatch() -> InvalidRequest:
    """The same idempotency key came with another request."""
    return InvalidRequest(
        "this Idempotency-Key was used for another request", "idempotency-mismatch"
    )


@dataclass(frozen=True, slots=True)
class Load:
    """What waits: `jobs` of `cost` row-evaluations. Since it began to, or of late, `done` jobs of
    `done_cost` have ended in `elapsed` seconds. Beside it, jobs that are `running`, and dead
    `letters`."""

    jobs: int
    cost: int
    done: int
    done_cost: int
    elapsed: float
    running: int = 0
    letters: int = 0

    @property
    def drain_rate(self) -> float:
        """Row-evaluations a second that were done; 0 while nothing waits."""
        return self.done_cost / self.elapsed if self.jobs and self.elapsed > 0 else 0.0

    def refusal(self, cost: int, bounds: Bounds) -> QueueFull | None:
        """Why a job of this cost may not wait too, and when what waits would have drained."""
        if self.jobs >= bounds.capacity:
            wait = _seconds(self.jobs, self.done, self.elapsed)
            return QueueFull(f"{self.jobs} jobs wait, the most allowed", wait)
        if self.jobs and self.cost + cost > bounds.capacity_cost:
            wait = _seconds(self.cost, self.done_cost, self.elapsed)
            return QueueFull(
                f"{self.cost} row-evaluations wait; with the {cost} of this job they would be more "
                f"than {bounds.capacity_cost}",
                wait,
            )
        return None


def _seconds(waiting: int, done: int, elapsed: float) -> int:
    """In which what waits would drain, if `done` of it did in `elapsed`."""
    if done < 1:
        return _UNMEASURED_S
    return min(max(1, math.ceil(waiting * elapsed / done)), _LONGEST_S)


class Cancellations(AsyncIterator[str]):
    """One worker's ear; it hears until it is garbage."""

    def __init__(self) -> None:
        self._heard: asyncio.Queue[str] = asyncio.Queue()

    def tell(self, job_id: str) -> None:
        """A job that ran was cancelled."""
        self._heard.put_nowait(job_id)

    async def __anext__(self) -> str:
        return await self._heard.get()
