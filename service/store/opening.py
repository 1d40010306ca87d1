"""The choice of a store by the settings of a deployment."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import NamedTuple

from service.errors import ServeError
from service.settings import MEMORY, Settings
from service.store.base import Store
from service.store.bounds import Bounds
from service.store.connection import NULL_OBSERVER, connect, wait_until_reachable
from service.store.fleet import Fleet
from service.store.memory import MemoryStore
from service.store.orders import Orders
from service.store.redis import RedisStore
from service.store.subscription import CHANNELS
from service.telemetry.observers import StoreObserver
from service.urls import place, redis_url


class Shared(NamedTuple):
    """A store in Redis, which processes share, the fleet of its workers, and the orders to them;
    `address` is its URL without the password."""

    store: RedisStore
    fleet: Fleet
    orders: Orders
    address: str
    observer: StoreObserver = NULL_OBSERVER

    async def wait_until_reachable(self) -> None:
        """Wait until Redis answers. Raises ServeError for a Redis that is too old."""
        await wait_until_reachable(self.store.client, self.observer)


@asynccontextmanager
async def open_store(
    settings: Settings,
    observer: StoreObserver = NULL_OBSERVER,
    channels: Collection[str] = CHANNELS,
) -> AsyncIterator[tuple[Store, Shared | None]]:
    """Open the store that the settings name, and close it in the end.

    Beside it stands the shared store, or None for the store in memory. `channels` are those that
    the process listens to. Raises ServeError for a URL
    that is not one of Redis.
    """
    if settings.store == MEMORY:
        yield MemoryStore(Bounds.of(settings)), None
        return
    async with connect(settings.store) as client:
        store = RedisStore(client, Bounds.of(settings), observer=observer, channels=channels)
        try:
            fleet, orders = Fleet(client, observer), Orders(client, observer)
            address = place(redis_url(settings.store))
            yield store, Shared(store, fleet, orders, address, observer)
        finally:
            await store.close()


@asynccontextmanager
async def open_shared(settings: Settings) -> AsyncIterator[Shared]:
    """Open the store in Redis, and close it in the end. Raises ServeError if another is chosen."""
    async with open_store(settings) as (_, shared):
        yield require_shared(shared)


def require_shared(shared: Shared | None) -> Shared:
    """Return the shared store. Raises ServeError if there is none."""
    if shared is None:
        raise ServeError("jobs have to wait in Redis: set MULAN_STORE (--store) to redis://...")
    return shared
