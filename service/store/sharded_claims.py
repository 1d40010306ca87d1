"""Claims on the jobs of several shards, in turns. A shard that is away is left out until it
answers; the jobs of the others go on."""

import asyncio
import time
from collections.abc import Collection, Sequence

from service.errors import StoreUnavailable
from service.store.base import Claim, Room
from service.store.claiming import Claiming
from service.store.retry import (
    FIRST_BACKOFF,
    LAST_BACKOFF,
    cancel_all,
    retry_while_unavailable,
)
from service.store.subscription import SUBSCRIBED_WITHIN_S


class _Line:
    """The jobs of one shard: `due` is when to look there without having heard, on the monotonic
    clock, and `listens` whether the shard wakes this process."""

    def __init__(self, claiming: Claiming, heard: asyncio.Event) -> None:
        self.claiming, self._heard = claiming, heard
        self.due, self.listens = 0.0, False
        self._return: asyncio.Task[None] | None = None
        self._backoff = 0.0

    @property
    def is_worth_a_look(self) -> bool:
        """Whether the shard answers, and may have a job."""
        arrived = self.claiming.subscription.arrival.is_set()
        return not self.is_away and (arrived or self.due <= time.monotonic())

    @property
    def is_away(self) -> bool:
        """Whether the shard has not answered yet, or not again."""
        return self._return is None or not self._return.done()

    def begin(self) -> None:
        """See to it that the shard is listened to, before its jobs are claimed."""
        if self._return is None or not (self.is_away or self.claiming.subscription.holds):
            self._leave_out(0.0)

    def failed(self) -> None:
        """Do not look here before the shard answers and tells of its jobs, and each time after a
        longer pause: a shard may answer all but claims."""
        self._backoff = min(max(FIRST_BACKOFF, 2 * self._backoff), LAST_BACKOFF)
        self._leave_out(self._backoff)

    def answered(self) -> None:
        """Take in that the shard let itself be looked at."""
        self._backoff = 0.0

    async def close(self) -> None:
        """Wait for the shard no longer."""
        if self._return is not None:
            await cancel_all(self._return)

    def _leave_out(self, pause_s: float) -> None:
        self.listens = False
        back = self._wait_until_back(pause_s)
        self._return = asyncio.create_task(back, name="return of a shard")

    async def _wait_until_back(self, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        await retry_while_unavailable(self._answer)
        self.due = 0.0
        self._heard.set()

    async def _answer(self) -> None:
        # The subscription comes before the claim, so that every held job can be cancelled.
        await self.claiming.subscription.wait_until_subscribed()
        await self.claiming.check_writable()


class ShardedClaims:
    """The claims of one process on the jobs of these shards. All methods belong to one event loop.

    A shard is asked for a job if the process has heard of one there, if the last look found one, or
    if the last look is long ago. It begins with the shard after the one that had a job.
    """

    def __init__(self, shards: Sequence[Claiming]) -> None:
        self._heard, self._turn = asyncio.Event(), 0
        self._lines = [_Line(claiming, self._heard) for claiming in shards]
        for claiming in shards:
            claiming.subscription.also = self._heard

    async def claim(self, checkpoints: Collection[str], room: Room) -> Claim:
        """Wait for a job of any shard and hold it, as `Store.claim` describes. Raises
        StoreUnavailable where all shards are away."""
        try:
            while True:
                self._heard.clear()
                for line in self._lines:
                    line.begin()
                if claim := await self._look(checkpoints, room):
                    return claim
                await self._wait()
        except asyncio.CancelledError:
            await self._stop_listening(self._lines, checkpoints)
            raise

    async def close(self) -> None:
        """Wait for no shard any more."""
        for line in self._lines:
            await line.close()

    async def _look(self, checkpoints: Collection[str], room: Room) -> Claim | None:
        for step in range(1, len(self._lines) + 1):
            number = (self._turn + step) % len(self._lines)
            line = self._lines[number]
            while line.is_worth_a_look:
                last = room.full
                try:
                    found = await line.claiming.look(checkpoints, room)
                except StoreUnavailable:
                    line.failed()
                    break
                except asyncio.CancelledError:
                    # What was found is handed back. If nothing was, the shard would wake us.
                    line.listens = True
                    raise
                line.answered()
                line.due = 0.0
                if line.claiming.listens:
                    # As many looks in vain as in one Redis.
                    again_s = len(self._lines) * line.claiming.poll_s
                    line.due, line.listens = time.monotonic() + again_s, True
                if found is None:
                    # What arrived meanwhile has its turn after the other shards.
                    break
                if isinstance(found, Claim):
                    self._turn = number
                    line.listens = line.listens and not last
                    if last:
                        await self._stop_listening_elsewhere(line, checkpoints, found)
                    return found
                # A suspect is kept for this process, which hears of nothing else there.
                line.listens = False
                await room.make(found)
        return None

    async def _wait(self) -> None:
        """Wait until a shard tells of a job or is back, or until it is time to look."""
        if all(line.is_away for line in self._lines):
            due = time.monotonic() + SUBSCRIBED_WITHIN_S
        else:
            due = min(line.due for line in self._lines if not line.is_away)
        try:
            async with asyncio.timeout(max(0.0, due - time.monotonic())):
                await self._heard.wait()
        except TimeoutError:
            if all(line.is_away for line in self._lines):
                raise StoreUnavailable("the queue cannot be reached (no shard answers)") from None

    async def _stop_listening_elsewhere(
        self, line: _Line, checkpoints: Collection[str], claim: Claim
    ) -> None:
        """Have no other shard wake this process, which a claim of this one fills. The claim is
        handed back if the caller is cancelled meanwhile."""
        try:
            others = [one for one in self._lines if one is not line]
            await self._stop_listening(others, checkpoints)
        except asyncio.CancelledError:
            await line.claiming.release(claim)
            raise

    async def _stop_listening(self, lines: Sequence[_Line], checkpoints: Collection[str]) -> None:
        """Have these shards wake other processes, also for what was heard and not looked at."""
        for line in lines:
            if line.listens and not line.is_away:
                await line.claiming.stop_listening(checkpoints)
                line.listens, line.due = False, 0.0
