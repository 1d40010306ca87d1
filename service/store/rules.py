"""What every store does alike."""

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import NamedTuple

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


class Share(NamedTuple):
    """One owner's part of the waiting work: its jobs, and their predicted row-evaluations."""

    jobs: int
    cost: int


NOTHING = Share(0, 0)


@dataclass(frozen=True, slots=True)
class Load:
    """What waits: `jobs` of `cost` row-evaluations. Since it began to, or of late, `done` jobs of
    `done_cost` have ended in `elapsed` seconds. Beside it, jobs that are `running`, and dead
    `letters`. `own` is the share of the owner who is asking, and `owners` the number of owners with
    waiting jobs, that one included."""

    jobs: int
    cost: int
    done: int
    done_cost: int
    elapsed: float
    running: int = 0
    letters: int = 0
    own: Share = NOTHING
    owners: int = 1

    @property
    def drain_rate(self) -> float:
        """Row-evaluations a second that were done; 0 while nothing waits."""
        return self.done_cost / self.elapsed if self.jobs and self.elapsed > 0 else 0.0

    def refusal(self, cost: int, bounds: Bounds) -> QueueFull | None:
        """Why the owner's job of this cost may not wait too, and when what waits would have
        drained; None if it may.

        Past a bound an owner is let in that has less than an equal share of it waiting, so that no
        owner's flood shuts another out.
        """
        if self.jobs >= bounds.capacity and self.own.jobs >= bounds.capacity / self.owners:
            wait = _seconds(self.jobs, self.done, self.elapsed)
            return QueueFull(f"{self.jobs} jobs wait, the most allowed{self._of_share()}", wait)
        full = self.jobs and self.cost + cost > bounds.capacity_cost
        if full and self.own.jobs and self.own.cost + cost > bounds.capacity_cost / self.owners:
            wait = _seconds(self.cost, self.done_cost, self.elapsed)
            return QueueFull(
                f"{self.cost} row-evaluations wait; with the {cost} of this job they would be more "
                f"than {bounds.capacity_cost}{self._of_share()}",
                wait,
            )
        return None

    def _of_share(self) -> str:
        """What a refusal adds where several owners share the queue."""
        if self.owners == 1:
            return ""
        return (
            f"; {self.own.jobs} jobs of {self.own.cost} row-evaluations are of this key, which "
            f"shares the queue with {self.owners - 1} more"
        )


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
