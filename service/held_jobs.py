"""The jobs that a worker holds, and how many it may hold while a suspect is among them."""

import asyncio
import math
from collections.abc import Callable

from service.store.base import Claim, Room


class HeldJobs:
    """The claims of a worker. All methods belong to one event loop.

    `running` has the claims of the jobs in the engine, by the job's id. `ending` has those of jobs
    whose outcome is on its way to the store, by the task that brings it there.
    """

    def __init__(self) -> None:
        self.running: dict[str, Claim] = {}
        self.ending: dict[asyncio.Task[None], Claim] = {}
        self._changed = asyncio.Event()

    def has(self, claim: Claim) -> bool:
        """Return whether a job is running by this claim, and not by a later one."""
        return self.running.get(claim.job.id) is claim

    def pop(self, job_id: str) -> Claim | None:
        """Remove the claim of a running job and return it; None if the job is not running."""
        self._changed.set()
        return self.running.pop(job_id, None)

    def end(self, task: asyncio.Task[None], claim: Claim) -> None:
        """Hold the claim of a job that ends until its task is done."""
        self.ending[task] = claim
        task.add_done_callback(self._ended)

    def __len__(self) -> int:
        """Number of jobs whose outcome is not in the store."""
        return len(self.running) + len(self.ending)

    @property
    def company(self) -> float:
        """The number of jobs that may be held beside and with those that are."""
        claims = (*self.running.values(), *self.ending.values())
        return min((claim.company for claim in claims if claim.company), default=math.inf)

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds of these jobs."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self.ending[task]
        self._changed.set()


class WorkersRoom(Room):
    """The room of a worker, which runs at most `most` jobs.

    A suspect, a job that was held by a worker that died, says how many jobs may be held with it:
    whatever kills a worker is alone after a few deaths. Where a suspect waits that needs fewer
    beside it than are held, the worker claims nothing until so few are left, for `patience` seconds
    at most. After a wait in vain none is kept for it until the jobs that it waited for have ended.
    """

    def __init__(self, held: HeldJobs, most: int, patience: float) -> None:
        self._held, self._most, self._patience = held, most, patience
        self._too_long: frozenset[str] = frozenset()

    @property
    def held(self) -> int:
        return len(self._held)

    @property
    def full(self) -> bool:
        return not self._fits(1)

    @property
    def patience(self) -> float:
        return self._patience if self._too_long.isdisjoint(self._held.running) else 0.0

    async def make(self, company: int) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._held.wait_until(lambda: len(self._held) < company)
        except TimeoutError:
            self._too_long = frozenset(self._held.running)

    async def wait(self) -> None:
        """Wait until one more job may be held."""
        await self._held.wait_until(lambda: self._fits(0))

    def _fits(self, more: int) -> bool:
        """Whether one job fits beside so many more than are held now."""
        running, held = len(self._held.running) + more, len(self._held) + more
        return running < self._most and held < self._held.company
