"""Quotas of each caller: requests, and predicted row-evaluations, in a span of time.

They are counted over a sliding window, approximated from two fixed windows, and in Redis for a
whole fleet.
"""

import math
import time

import limits
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import Redis

from service.errors import InvalidRequest, RateLimited
from service.settings import Settings
from service.store import keys
from service.store.connection import NULL_OBSERVER, round_trip
from service.telemetry.observers import StoreObserver


class Quotas:
    """The quotas in the settings. Without the `client` of a fleet, a process counts alone."""

    def __init__(
        self,
        settings: Settings,
        client: Redis | None = None,
        observer: StoreObserver = NULL_OBSERVER,
    ) -> None:
        # Counters in memory make no round trips.
        self._observer = NULL_OBSERVER if client is None else observer
        self._requests = _parsed(settings.request_rate)
        self._cost = _parsed(settings.cost_rate)
        self._limiter = SlidingWindowCounterRateLimiter(_storage(client))

    async def admit(self, owner: str) -> None:
        """Count a request. Raises RateLimited, StoreUnavailable."""
        if self._requests is not None:
            await self._hit(self._requests, f"requests {owner}", 1, "requests")

    async def charge(self, owner: str, cost: int) -> None:
        """Count the predicted cost of a request, in row-evaluations.

        Raises RateLimited, StoreUnavailable, and InvalidRequest (request-too-expensive) for a cost
        that no wait would make admissible.
        """
        if self._cost is None:
            return
        if cost > self._cost.amount:
            raise InvalidRequest(
                f"{cost} row-evaluations predicted; a key may have {self._cost.amount} in "
                f"{_window(self._cost)}",
                "request-too-expensive",
            )
        await self._hit(self._cost, f"cost {owner}", cost, "row-evaluations")

    async def _hit(self, rate: limits.RateLimitItem, name: str, cost: int, unit: str) -> None:
        with round_trip("quota", self._observer):
            if await self._limiter.hit(rate, name, cost=cost):
                return
            window = await self._limiter.get_window_stats(rate, name)
        wait = max(1, math.ceil(window.reset_time - time.time()))
        raise RateLimited(f"at most {rate.amount} {unit} in {_window(rate)}", wait)


def _window(rate: limits.RateLimitItem) -> str:
    return f"{rate.get_expiry()} s"


def _parsed(rate: str) -> limits.RateLimitItem | None:
    return limits.parse(rate) if rate else None


def _storage(client: Redis | None) -> Storage:
    if client is None:
        return MemoryStorage()
    return RedisStorage(
        "async+redis://",
        implementation="redispy",
        key_prefix=keys.RATES,
        connection_pool=client.connection_pool,  # type: ignore[arg-type]
    )
