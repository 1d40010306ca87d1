"""When a worker may run a job alone that was held by one that died."""

import asyncio
import time

from service.holdings import Holdings
from service.store.base import Claim


class Quarantine:
    """A worker that waits to be alone with a suspect does nothing else. It waits for `patience`
    seconds, and not beyond the suspect's deadline; then for no suspect, before what it held
    meanwhile has ended."""

    def __init__(self, held: Holdings, patience: float) -> None:
        self._held, self._patience = held, patience
        self._too_long: frozenset[str] = frozenset()

    def open(self) -> bool:
        """Whether a suspect may be claimed."""
        return self._too_long.isdisjoint(self._held.running)

    async def entered(self, claim: Claim) -> bool:
        """Wait to be alone with a suspect; whether that was soon enough."""
        left = claim.job.deadline - time.time()
        try:
            async with asyncio.timeout(min(self._patience, left)):
                await self._held.only(claim.job.id)
        except TimeoutError:
            self._too_long = frozenset(self._held.running.keys() - {claim.job.id})
            return False
        return self._held.has(claim)
