"""The jobs of one shard as a process claims them, and what it then does with its claims."""

import asyncio
import contextlib
from collections.abc import Collection
from typing import Any

from service.errors import ComputationFailed, StoreUnavailable
from service.jobs import Outcome
from service.store import claims, keys, rules
from service.store.base import Claim, Room
from service.store.scripts import Scripts
from service.store.subscription import Subscription
from service.store.wire import encode_outcome


class Claiming:
    """The claims of the process `name` on the jobs of one shard.

    A claim that has to wait looks again every `poll_s` seconds, and when it hears of a job.
    """

    def __init__(
        self, name: str, scripts: Scripts, subscription: Subscription, poll_s: float
    ) -> None:
        self._name, self._scripts, self.poll_s = name, scripts, poll_s
        self.subscription = subscription
        # Whether the last look left no other job, and the process will be woken for the next.
        self.listens = False

    async def claim(self, checkpoints: Collection[str], room: Room) -> Claim:
        """Wait for a job and hold it, as `Store.claim` describes."""
        # The subscription comes before the claim, so that every held job can be cancelled.
        await self.subscription.wait_until_subscribed()
        try:
            while True:
                if self.listens:
                    await self.subscription.until(self.subscription.arrival, self.poll_s)
                found = await self.look(checkpoints, room)
                if isinstance(found, Claim):
                    return found
                if found is not None:
                    await room.make(found)
        except asyncio.CancelledError:
            await self.stop_listening(checkpoints)
            raise

    async def look(self, checkpoints: Collection[str], room: Room) -> Claim | int | None:
        """Look for a job, and hold it. Returns None if there is none: the process will be woken;
        or the company of a suspect that is kept until this process holds fewer jobs."""
        while True:
            self.subscription.arrival.clear()
            self.listens = False
            reply = await self._take(checkpoints, room)
            self.listens = not reply or bool(reply[0])
            if not reply:
                return None
            if not reply[1]:
                return int(reply[2])
            if claim := await self._claimed(*reply[1:]):
                return claim

    async def stop_listening(self, checkpoints: Collection[str]) -> None:
        """Have another process woken for jobs of these checkpoints; nothing while Redis is away."""
        self.listens = False
        with contextlib.suppress(StoreUnavailable):
            await self._scripts.run("stop_listening", self._name, *checkpoints)

    async def check_writable(self) -> None:
        """Check that the shard carries out writes. Raises StoreUnavailable: a server that cannot
        write, or that is a replica, answers reads all the same."""
        await self._scripts.command("writable", "DEL", self._scripts.name(keys.NOTHING))

    async def release(self, claim: Claim) -> None:
        """Hand a job back that this process does not begin; nothing while Redis is away."""
        with contextlib.suppress(StoreUnavailable):
            await self._scripts.run("release", claim.job.id, claim.epoch)

    async def renew(self, held: Collection[Claim]) -> list[Claim]:
        """Renew leases, and return the claims that no longer hold their job."""
        pairs = [part for claim in held for part in (claim.job.id, claim.epoch)]
        lost: list[int] = await self._scripts.run("renew", self._name, *pairs)
        return [claim for position, claim in enumerate(held) if position in lost]

    async def complete(self, job_id: str | bytes, epoch: int, outcome: Outcome) -> bool:
        """End a job by a claim of this epoch, and return whether that was the latest."""
        status, text = rules.status_of(outcome), encode_outcome(outcome)
        ended: int = await self._scripts.run("complete", job_id, epoch, status, text)
        return bool(ended)

    async def _take(self, checkpoints: Collection[str], room: Room) -> list[Any] | None:
        """Look for a job once. One that is found after the caller was cancelled is handed back."""
        look = asyncio.ensure_future(
            self._scripts.run(
                "claim", self._name, room.held, int(room.full), room.patience, *checkpoints
            )
        )
        try:
            reply: list[Any] | None = await asyncio.shield(look)
        except asyncio.CancelledError:
            with contextlib.suppress(StoreUnavailable):
                if (reply := await look) and reply[1]:
                    await self._scripts.run("release", *reply[1:3])
            raise
        return reply

    async def _claimed(self, job_id: bytes, epoch: int, *stored: Any) -> Claim | None:
        name = job_id.decode(errors="replace")
        try:
            return claims.read(name, epoch, *stored)
        except ComputationFailed as error:
            self._scripts.damage.tell("job", name, error.detail)
            error.job = name
            await self.complete(job_id, epoch, error)
            return None
