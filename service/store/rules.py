"""Rules that all stores have in common."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

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

# The latest ends of jobs by which the rate is measured at which the queue drains.
WINDOW = 64
# Seconds after which a client may try again if that rate is unknown, and at most.
_UNMEASURED_S = 5
_LONGEST_S = 300
# A request with the idempotency key of such a job begins a new job.
WITHOUT_ANSWER: frozenset[JobStatus] = frozenset({"cancelled", "timed-out"})


def status_of(outcome: Outcome) -> JobStatus:
    """Return the status of a job with this outcome."""
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
    """Make the outcome of a job that was cancelled."""
    return JobCancelled("the job was cancelled")


def too_late() -> DeadlineExceeded:
    """Make the outcome of a job that no worker claimed in time."""
    return DeadlineExceeded("time ran out while the job was queued")


def unknown(job_id: str) -> UnknownJob:
    """Make the error for a job that does not exist, or that the caller may not know of."""
    return UnknownJob(f"no job {job_id!r}")


def expired(job_id: str) -> ResultExpired:
    """Make the error for a job that has ended and has no result any more."""
    return ResultExpired(f"the result of job {job_id} is no longer kept")


def mismatch() -> InvalidRequest:
    """Make the error for an idempotency key that was used for another request."""
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
    """The load of a store: `jobs` are queued, of `cost` predicted row-evaluations.

    Since jobs began to wait, or recently, `done` jobs of `done_cost` have ended in `elapsed`
    seconds. Beside them, other jobs are `running`, and there are `dead_letters`. Within a day
    servers were replaced `gaps` times; jobs that were accepted in the `gap_s` seconds before that
    may be lost. `own` is the share of the owner who is asking, and `owners` the number of owners
    with queued jobs, that one included.
    """

    jobs: int
    cost: int
    done: int
    done_cost: int
    elapsed: float
    running: int = 0
    dead_letters: int = 0
    gaps: int = 0
    gap_s: float = 0.0
    own: Share = NOTHING
    owners: int = 1

    @classmethod
    def of_all(cls, loads: Sequence[Self]) -> Self:
        """Return the load of several shards together, which drain at the sum of their rates."""
        elapsed = max(load.elapsed for load in loads)
        return cls(
            sum(load.jobs for load in loads),
            sum(load.cost for load in loads),
            sum(load.done for load in loads),
            round(elapsed * sum(load.drain_rate for load in loads)),
            elapsed,
            sum(load.running for load in loads),
            sum(load.dead_letters for load in loads),
            sum(load.gaps for load in loads),
            sum(load.gap_s for load in loads),
        )

    @property
    def drain_rate(self) -> float:
        """Row-evaluations done each second, or 0 while no job is queued."""
        return self.done_cost / self.elapsed if self.jobs and self.elapsed > 0 else 0.0

    def refusal(self, cost: int, bounds: Bounds) -> QueueFull | None:
        """Return the refusal of the owner's job of this cost, with the time in which the queue
        drains; None if the job may be queued.

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
        """Return the end of a refusal's text where several owners share the queue."""
        if self.owners == 1:
            return ""
        return (
            f"; {self.own.jobs} jobs of {self.own.cost} row-evaluations are of this key, which "
            f"shares the queue with {self.owners - 1} more"
        )


def _seconds(waiting: int, done: int, elapsed: float) -> int:
    """Return the seconds in which the queue drains, if `done` of it did in `elapsed` seconds."""
    if done < 1:
        return _UNMEASURED_S
    return min(max(1, math.ceil(waiting * elapsed / done)), _LONGEST_S)


class Cancellations(AsyncIterator[str]):
    """The ids of cancelled jobs, as one worker reads them."""

    def __init__(self) -> None:
        self._ids: asyncio.Queue[str] = asyncio.Queue()

    def add(self, job_id: str) -> None:
        """Add the id of a running job that was cancelled."""
        self._ids.put_nowait(job_id)

    async def __anext__(self) -> str:
        return await self._ids.get()
