"""The jobs that a worker holds, and the quarantine in which it runs a suspect alone."""

import asyncio
import time

from service.store.base import Claim


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

    async def wait_until_fewer_than(self, number: int) -> None:
        """Wait until fewer than `number` jobs are running."""
        while len(self.running) >= number:
            await self._change()

    async def wait_until_only(self, *job_ids: str) -> None:
        """Wait until no other jobs are running, and every outcome is in the store."""
        while self.running.keys() - set(job_ids) or self.ending:
            await self._change()

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self.ending[task]
        self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


class Quarantine:
    """The rule by which a worker runs a suspect, a job that was held by a worker that died.

    A suspect runs alone. A worker that has claimed one claims nothing else, and waits until its
    other jobs have ended: for `patience` seconds, but not beyond the suspect's deadline. After a
    wait in vain it claims no suspect until the jobs that it waited for have ended.
    """

    def __init__(self, held: HeldJobs, patience: float) -> None:
        self._held, self._patience = held, patience
        self._too_long: frozenset[str] = frozenset()

    def admits(self) -> bool:
        """Return whether the worker may claim a suspect."""
        return self._too_long.isdisjoint(self._held.running)

    async def enter(self, claim: Claim) -> bool:
        """Wait until the suspect is alone, and return whether it is alone and still held."""
        left = claim.job.deadline - time.time()
        try:
            async with asyncio.timeout(min(self._patience, left)):
                await self._held.wait_until_only(claim.job.id)
        except TimeoutError:
            self._too_long = frozenset(self._held.running.keys() - {claim.job.id})
            return False
        return self._held.has(claim)
