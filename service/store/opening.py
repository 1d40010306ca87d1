"""The choice of a store by the settings of a deployment."""

import uuid
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from service.errors import ServeError, StoreUnavailable
from service.setting_values import MEMORY
from service.settings import Settings
from service.store.base import Store
from service.store.bounds import Bounds
from service.store.connection import (
    NULL_OBSERVER,
    Connected,
    check_shard,
    connect_all,
    wait_until_reachable,
)
from service.store.fleet import Fleet
from service.store.memory import MemoryStore
from service.store.orders import Orders
from service.store.redis import RedisStore
from service.store.sharded import ShardedStore, in_all
from service.store.subscription import CHANNELS
from service.telemetry.observers import StoreObserver
from service.urls import redis_url


class Shared(NamedTuple):
    """A store in Redis, which processes share, its shards, the fleet of its workers, and the orders
    to them; `name` is that of this process there, `address` the URL without the password."""

    store: RedisStore | ShardedStore
    shards: Sequence[Connected]
    fleet: Fleet
    orders: Orders
    name: str
    address: str
    observer: StoreObserver = NULL_OBSERVER

    async def wait_until_reachable(self) -> None:
        """Wait until every shard answers. Raises ServeError for a Redis that is too old, and for
        one that holds another shard's data."""
        for connected in self.shards:
            await wait_until_reachable(connected, self.observer)

    async def check_shards(self) -> None:
        """Check that no shard that answers holds another shard's data; write nothing. Raises
        ServeError."""

        async def check(connected: Connected) -> None:
            with suppress(StoreUnavailable):
                await check_shard(connected, self.observer, marks=False)

        await in_all(self.shards, check)


@asynccontextmanager
async def open_store(
    settings: Settings,
    observer: StoreObserver = NULL_OBSERVER,
    channels: Collection[str] = CHANNELS,
) -> AsyncIterator[tuple[Store, Shared | None]]:
    """Open the store that the settings name, and close it in the end.

    Beside it stands the shared store, or None for the store in memory. `channels` are those that
    the process listens to. Raises ServeError for a URL that is not one of Redis.
    """
    if settings.store == MEMORY:
        yield MemoryStore(Bounds.of(settings)), None
        return
    async with connect_all(settings.store) as shards:
        name, bounds = uuid.uuid4().hex, Bounds.of(settings).divided(len(shards))
        stores = [
            RedisStore(client, bounds, name, observer=observer, channels=channels, shard=shard)
            for client, shard in shards
        ]
        store = ShardedStore(stores) if len(stores) > 1 else stores[0]
        try:
            (first, shard), *others = shards
            fleet = Fleet(first, observer, shard, others)
            orders = Orders(first, observer, shard)
            address = redis_url(settings.store).place
            yield store, Shared(store, shards, fleet, orders, name, address, observer)
        finally:
            await store.close()


@asynccontextmanager
async def open_shared(settings: Settings) -> AsyncIterator[Shared]:
    """Open the store in Redis for a command, and close it in the end. Raises ServeError if another
    is chosen, or another number or order of shards than the fleet has."""
    async with open_store(settings) as (_, shared):
        found = require_shared(shared)
        await found.check_shards()
        yield found


def require_shared(shared: Shared | None) -> Shared:
    """Return the shared store. Raises ServeError if there is none."""
    if shared is None:
        raise ServeError("jobs have to wait in Redis: set MULAN_STORE (--store) to redis://...")
    return shared
