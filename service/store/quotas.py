"""Limits on the requests of each caller in a while, and on their predicted price in row-evaluations
(`service.price`).

They are counted over a sliding window, approximated from two fixed windows, and in Redis for a
whole fleet.
"""

import math
import time
from collections.abc import Sequence
from typing import Literal

import limits
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.exceptions import ResponseError

from service.errors import InvalidRequest, RateLimited
from service.settings import Settings
from service.store import keys
from service.store.connection import NULL_OBSERVER, Connected, round_trip
from service.store.damage import Damage
from service.store.routes import is_elsewhere, repeated
from service.store.shards import shard_of
from service.telemetry.observers import StoreObserver


class Quotas:
    """The quotas in the settings. Without the `shards` of a fleet's store, a process counts alone;
    each counts the requests of some callers."""

    def __init__(
        self,
        settings: Settings,
        shards: Sequence[Connected] = (),
        observer: StoreObserver = NULL_OBSERVER,
    ) -> None:
        # Counters in memory make no round trips.
        self._observer = observer if shards else NULL_OBSERVER
        self._damage = Damage(self._observer)
        self._requests = _parsed(settings.request_rate)
        self._cost = _parsed(settings.cost_rate)
        storages = [_storage(shard) for shard in shards] or [MemoryStorage()]
        self._limiters = [SlidingWindowCounterRateLimiter(storage) for storage in storages]

    async def admit(self, owner: str) -> None:
        """Count a request. Raises RateLimited, StoreUnavailable."""
        if self._requests is not None:
            await self._hit(self._requests, f"requests {owner}", 1, "requests")

    async def check(self, owner: str, cost: int) -> None:
        """See whether the owner may ask for work of this predicted cost now; counts nothing.

        Raises RateLimited, StoreUnavailable, and InvalidRequest (request-too-expensive) for work
        that would never be let in.
        """
        if self._cost is None:
            return
        if cost > self._cost.amount:
            raise InvalidRequest(
                f"{cost} row-evaluations predicted; a key may have {self._cost.amount} in "
                f"{_window(self._cost)}",
                "request-too-expensive",
            )
        free = await self._asked("test", self._cost, f"cost {owner}", cost)
        if not free:
            raise await self._refusal(self._cost, f"cost {owner}", "row-evaluations")

    async def charge(self, owner: str, cost: int) -> None:
        """Count work that has been admitted after `check` let it. Raises StoreUnavailable."""
        if self._cost is not None:
            await self._asked("hit", self._cost, f"cost {owner}", cost)

    async def _hit(self, rate: limits.RateLimitItem, name: str, cost: int, unit: str) -> None:
        if not await self._asked("hit", rate, name, cost):
            raise await self._refusal(rate, name, unit)

    async def _asked(
        self, what: Literal["hit", "test"], rate: limits.RateLimitItem, name: str, cost: int
    ) -> bool:
        """Ask the limiter. Counters that Redis cannot count with are begun anew."""
        shard = self._shard(name)
        limiter = self._limiters[shard]
        ask = limiter.hit if what == "hit" else limiter.test
        with round_trip("quota", self._observer, shard):
            try:
                # The library has a client of its own, which repeats nothing.
                return await repeated(lambda: ask(rate, name, cost=cost))
            except ResponseError as error:
                if is_elsewhere(error):
                    raise
                self._damage.tell("key", f"{keys.RATES} of {name}", str(error))
                await limiter.clear(rate, name)
                return await ask(rate, name, cost=cost)

    def _shard(self, name: str) -> int:
        return shard_of(name, len(self._limiters))

    async def _refusal(self, rate: limits.RateLimitItem, name: str, unit: str) -> RateLimited:
        shard = self._shard(name)
        with round_trip("quota", self._observer, shard):
            window = await repeated(lambda: self._limiters[shard].get_window_stats(rate, name))
        wait = max(1, math.ceil(window.reset_time - time.time()))
        return RateLimited(f"at most {rate.amount} {unit} in {_window(rate)}", wait)


def _window(rate: limits.RateLimitItem) -> str:
    return f"{rate.get_expiry()} s"


def _parsed(rate: str) -> limits.RateLimitItem | None:
    return limits.parse(rate) if rate else None


def _storage(shard: Connected) -> Storage:
    return RedisStorage(
        "async+redis://",
        implementation="redispy",
        key_prefix=shard.shard.name(keys.RATES),
        connection_pool=shard.client.connection_pool,  # type: ignore[arg-type]
    )
