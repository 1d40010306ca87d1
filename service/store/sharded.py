"""A store in several Redis, each of which is a shard: a store of whole jobs, as if it were alone.

A job stays in the shard that its id names. What concerns one job goes to its shard, and what
concerns all goes to every shard. Bounds and the turns of owners hold in each shard.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Sequence
from typing import TypeVar

from service.errors import QueueFull, StoreUnavailable
from service.jobs import Job, JobStatus, Outcome
from service.store.base import ANY_ROOM, Call, Claim, JobRecord, JobSummary, Key, Page, Room
from service.store.news import News
from service.store.redis import RedisStore
from service.store.rules import Cancellations, Load
from service.store.sharded_claims import ShardedClaims
from service.store.shards import new_id, shard_of

T = TypeVar("T")

# Seconds for which no new job is given to a shard that did not answer, and between two that try
# whether it does again.
AVOIDED_S = 2.0
# Seconds for which no calls are looked for in a shard that did not answer.
LEFT_OUT_S = 5.0


class ShardedStore:
    """A store in these shards, in the order of their numbers. `clock` returns seconds since the
    epoch. Where shards are away, what concerns all of them raises StoreUnavailable once the others
    have done it."""

    def __init__(
        self, shards: Sequence[RedisStore], clock: Callable[[], float] = time.time
    ) -> None:
        self.shards, self._clock = shards, clock
        self._claims = ShardedClaims([shard.claiming for shard in shards])
        self.callbacks = ShardedCallbacks(self)
        # Renewals that were refused, and could not be told because another shard was away.
        self._lost: list[Claim] = []
        self._turn, self._avoided = 0, dict[int, float]()

    async def close(self) -> None:
        """End the subscriptions. The clients stay open for their owner."""
        await self._claims.close()
        for shard in self.shards:
            await shard.close()

    def of(self, name: str) -> RedisStore:
        """Return the shard of the job of an id, or of the scope of a key."""
        return self.shards[shard_of(name, len(self.shards))]

    def new_id(self, key: Key | None = None) -> str:
        """Make an id, of the shard of the key, or else of each shard that answers in turn."""
        count = len(self.shards)
        if key is not None:
            return new_id(self._clock(), shard_of(key.scope, count), count)
        self._turn = self._turns()[0]
        if self._turn in self._avoided:
            # One job tries whether it answers again, and not all whose turn it is until that fails.
            self._avoid(self._turn)
        return new_id(self._clock(), self._turn, count)

    def part(self, job_id: str) -> int:
        return shard_of(job_id, len(self.shards))

    async def check_capacity(self, owner: str, cost: int) -> None:
        """Check whether any shard could take the job."""
        refusals = list[QueueFull | StoreUnavailable]()
        for number in self._turns():
            try:
                return await self.shards[number].check_capacity(owner, cost)
            except QueueFull as refusal:
                refusals.append(refusal)
            except StoreUnavailable as refusal:
                self._avoid(number)
                refusals.append(refusal)
        raise next((one for one in refusals if isinstance(one, QueueFull)), refusals[0])

    async def knows(self, key: Key) -> bool:
        return await self.of(key.scope).knows(key)

    async def load(self) -> Load:
        return Load.of_all(await self._all(lambda shard: shard.load()))

    async def has_jobs(self, checkpoint: str) -> bool:
        return any(await self._all(lambda shard: shard.has_jobs(checkpoint)))

    async def put(self, job: Job, key: Key | None = None, attended: bool = False) -> str:
        """Admit a job, as `Store.put` describes. Raises ValueError for one whose id was not made
        for its key."""
        shard = self.of(job.id)
        if key is not None and self.of(key.scope) is not shard:
            raise ValueError("the job's id and its key belong to different shards")
        number = self.shards.index(shard)
        try:
            found = await shard.put(job, key, attended)
        except StoreUnavailable:
            self._avoid(number)
            raise
        self._avoided.pop(number, None)
        return found

    async def leave(self, job_id: str, waiter: str) -> None:
        await self.of(job_id).leave(job_id, waiter)

    async def claim(self, checkpoints: Collection[str], room: Room = ANY_ROOM) -> Claim:
        return await self._claims.claim(checkpoints, room)

    async def renew(self, claims: Collection[Claim]) -> list[Claim]:
        async def renew(shard: RedisStore) -> None:
            if own := [claim for claim in claims if self.of(claim.job.id) is shard]:
                # Renewals of other shards tell of losses meanwhile.
                found = await shard.renew(own)
                self._lost += found

        await self._all(renew)
        lost, self._lost = self._lost, []
        return lost

    async def sweep(self) -> None:
        await self._all(lambda shard: shard.sweep())

    async def report(self, claim: Claim, progress: float, preview: bytes = b"") -> bool:
        return await self.of(claim.job.id).report(claim, progress, preview)

    async def complete(self, claim: Claim, outcome: Outcome) -> bool:
        return await self.of(claim.job.id).complete(claim, outcome)

    async def release(self, claim: Claim) -> None:
        await self.of(claim.job.id).release(claim)

    async def cancel(self, job_id: str) -> None:
        await self.of(job_id).cancel(job_id)

    async def summary(self, job_id: str) -> JobSummary:
        return await self.of(job_id).summary(job_id)

    async def jobs(
        self, owner: str | None, status: JobStatus | None, limit: int, before: int | None
    ) -> Page:
        pages = await self._all(lambda shard: shard.jobs(owner, status, limit, before))
        # Below such a place a shard may have jobs that its page has not.
        seen_to = max((page.before for page in pages if page.before is not None), default=None)
        found = [job for page in pages for job in page.jobs if job.place >= (seen_to or 0)]
        found.sort(key=lambda job: job.place, reverse=True)
        if len(found) > limit:
            return Page(found[:limit], found[limit - 1].place)
        return Page(found, seen_to)

    async def record(self, job_id: str) -> JobRecord:
        return await self.of(job_id).record(job_id)

    async def wait(self, job_id: str) -> JobRecord:
        return await self.of(job_id).wait(job_id)

    def watch(self, job_id: str, after: int | None) -> AsyncGenerator[News]:
        return self.of(job_id).watch(job_id, after)

    async def expire(self, job_id: str) -> None:
        await self.of(job_id).expire(job_id)

    async def forget(self, job_id: str) -> None:
        await self.of(job_id).forget(job_id)

    def cancellations(self) -> AsyncIterator[str]:
        listener = Cancellations()
        for shard in self.shards:
            shard.cancellations(listener)
        return listener

    def _turns(self) -> list[int]:
        """The numbers of the shards in the order of their turns; those that do not answer last."""
        now, count = time.monotonic(), len(self.shards)
        turns = [(self._turn + step) % count for step in range(1, count + 1)]
        return sorted(turns, key=lambda number: self._avoided.get(number, 0.0) > now)

    def _avoid(self, number: int) -> None:
        self._avoided[number] = time.monotonic() + AVOIDED_S

    async def _all(self, act: Callable[[RedisStore], Awaitable[T]]) -> list[T]:
        """Do something in every shard. Raises the first error once all have done it."""
        return await in_all(self.shards, act)


class ShardedCallbacks:
    """The calls that the shards of a store owe."""

    def __init__(self, store: ShardedStore) -> None:
        self._store, self._turn = store, 0
        # Shards that did not answer, and until when they are left out.
        self._away = dict[int, float]()

    async def take(self, lease_s: float) -> Call | None:
        """Take a call of any shard, beginning with the one after the last that had one. Raises
        StoreUnavailable where none is found and a shard did not answer; that one is then left out
        for a while, so that calls of the others are not held up."""
        shards, away, now = self._store.shards, None, time.monotonic()
        for step in range(1, len(shards) + 1):
            number = (self._turn + step) % len(shards)
            if self._away.get(number, 0.0) > now:
                continue
            try:
                if call := await shards[number].callbacks.take(lease_s):
                    self._turn = number
                    return call
            except StoreUnavailable as error:
                self._away[number], away = time.monotonic() + LEFT_OUT_S, error
        if away is not None:
            raise away
        return None

    async def settle(self, call: Call, again_in_s: float | None) -> None:
        await self._store.of(call.job.id).callbacks.settle(call, again_in_s)


ShardT = TypeVar("ShardT")


async def in_all(shards: Sequence[ShardT], act: Callable[[ShardT], Awaitable[T]]) -> list[T]:
    """Do something in all shards at once. Raises the first error once all are done."""
    done = await asyncio.gather(*(act(shard) for shard in shards), return_exceptions=True)
    found = list[T]()
    for one in done:
        if isinstance(one, BaseException):
            raise one
        found.append(one)
    return found
