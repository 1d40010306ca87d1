"""What a worker holds: the jobs in its engine, and the ends that are on their way to the store."""

import asyncio

from service.store.base import Claim


class Holdings:
    """`running` by id; `ending` by the task that tells the store. All methods belong to one event
    loop."""

    def __init__(self) -> None:
        self.running: dict[str, Claim] = {}
        self.ending: dict[asyncio.Task[None], Claim] = {}
        self._fewer = asyncio.Event()

    def has(self, claim: Claim) -> bool:
        """Whether a job runs by this claim, and by no later one."""
        return self.running.get(claim.job.id) is claim

    def pop(self, job_id: str) -> Claim | None:
        """Take out a job that runs, if it does."""
        self._fewer.set()
        return self.running.pop(job_id, None)

    def end(self, task: asyncio.Task[None], claim: Claim) -> None:
        """Hold an end until its task is done."""
        self.ending[task] = claim
        task.add_done_callback(self._ended)

    async def fewer_than(self, number: int) -> None:
        """Wait until fewer jobs run."""
        while len(self.running) >= number:
            await self._change()

    async def only(self, *job_ids: str) -> None:
        """Wait until nothing else runs, and every end is told."""
        while self.running.keys() - set(job_ids) or self.ending:
            await self._change()

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self.ending[task]
        self._fewer.set()

    async def _change(self) -> None:
        self._fewer.clear()
        await self._fewer.wait()
