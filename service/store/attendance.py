"""The jobs that clients of one process wait for. The process says so again and again: a job of
which nobody says it any more is dropped, for its clients' process has died.

That a client has left a job that has ended is told a little later, of several at once: nothing is
computed for it any more, and each script costs Redis more than what it does there.
"""

import asyncio
import logging
from collections import Counter

from service.errors import StoreUnavailable
from service.store.retry import cancel_all
from service.store.scripts import Scripts

logger = logging.getLogger(__name__)

# Seconds for which those who leave ended jobs are gathered.
_GATHERED_S = 0.1


class Attendance:
    """Says every `every_s` seconds that the clients of this process go on waiting. All methods
    belong to one event loop."""

    def __init__(self, scripts: Scripts, every_s: float) -> None:
        self._scripts, self._every_s = scripts, every_s
        self._jobs = Counter[str]()
        self._ended, self._left = set[str](), list[str]()
        self._task: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None

    def begin(self, job_id: str) -> None:
        """Take in that one more client waits for a job."""
        self._jobs[job_id] += 1
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="attendance")

    def ended(self, job_id: str) -> None:
        """Take in that a client has the record of a job that has ended."""
        if job_id in self._jobs:
            self._ended.add(job_id)

    async def leave(self, job_id: str, waiter: str) -> None:
        """Take in that a client has left, and tell the store. Raises StoreUnavailable."""
        has_ended = job_id in self._ended
        if self._jobs[job_id] <= 1:
            del self._jobs[job_id]
            self._ended.discard(job_id)
        else:
            self._jobs[job_id] -= 1
        if not has_ended:
            await self._scripts.run("leave", job_id, waiter)
            return
        self._left += job_id, waiter
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell_later(), name="attendance")

    async def close(self) -> None:
        """Tell who has left, and say nothing any more."""
        if self._task is not None:
            await cancel_all(self._task)
            self._task = None
        if self._telling is not None:
            await cancel_all(self._telling)
            await self._tell()

    async def _tell_later(self) -> None:
        while self._left:
            await asyncio.sleep(_GATHERED_S)
            await self._tell()
        self._telling = None

    async def _tell(self) -> None:
        """Tell who has left ended jobs. What cannot be told is not repeated: a sweep forgets jobs
        that nobody attends."""
        left, self._left = self._left, []
        try:
            if left:
                await self._scripts.run("leave", *left)
        except StoreUnavailable as error:
            logger.info("the store is not told who has left: %s", error)
        except Exception:
            logger.exception("the store is not told who has left")

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            if self._jobs:
                try:
                    await self._scripts.run("attend", *self._jobs)
                except StoreUnavailable as error:
                    logger.info("the store is not told who waits: %s", error)
                except Exception:
                    logger.exception("the store is not told who waits")
