"""The jobs that clients of one process wait for. The process says so again and again: a job of
which nobody says it any more is dropped, for its clients' process has died."""

import asyncio
import logging
from collections import Counter

from service.errors import StoreUnavailable
from service.store.retry import cancel_all
from service.store.scripts import Scripts

logger = logging.getLogger(__name__)


class Attendance:
    """Says every `every_s` seconds that the clients of this process go on waiting. All methods
    belong to one event loop."""

    def __init__(self, scripts: Scripts, every_s: float) -> None:
        self._scripts, self._every_s = scripts, every_s
        self._jobs = Counter[str]()
        self._task: asyncio.Task[None] | None = None

    def begin(self, job_id: str) -> None:
        """Take in that one more client waits for a job."""
        self._jobs[job_id] += 1
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="attendance")

    def end(self, job_id: str) -> None:
        """Take in that a client has left; one that is not known changes nothing."""
        if self._jobs[job_id] <= 1:
            del self._jobs[job_id]
        else:
            self._jobs[job_id] -= 1

    async def close(self) -> None:
        """Say nothing any more."""
        if self._task is not None:
            await cancel_all(self._task)
            self._task = None

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
