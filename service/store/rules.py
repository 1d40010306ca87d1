"""What every store does alike."""

import asyncio
import math
from collections.abc import AsyncIterator

from service.errors import DeadlineExceeded, JobCancelled, ServiceError
from service.jobs import Outcome
from service.store.base import Status

# Of the latest ends, so many tell the rate at which the queue drains.
WINDOW = 64
_UNMEASURED_S = 5
_LONGEST_S = 300


def status_of(outcome: Outcome) -> Status:
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


def retry_after(waiting: int, completed: int, elapsed: float) -> int:
    """Seconds in which the waiting jobs would drain, if `completed` did in `elapsed` seconds."""
    if completed < 1:
        return _UNMEASURED_S
    return min(max(1, math.ceil(waiting * elapsed / completed)), _LONGEST_S)


class Cancellations(AsyncIterator[str]):
    """One worker's ear; it hears until it is garbage."""

    def __init__(self) -> None:
        self._heard: asyncio.Queue[str] = asyncio.Queue()

    def tell(self, job_id: str) -> None:
        """A job that ran was cancelled."""
        self._heard.put_nowait(job_id)

    async def __anext__(self) -> str:
        return await self._heard.get()
