"""The store that a deployment chose."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from service.errors import ServeError
from service.settings import MEMORY, Settings
from service.store.base import Store
from service.store.bounds import Bounds
from service.store.connection import NOBODY, connect, reached
from service.store.fleet import Fleet
from service.store.memory import MemoryStore
from service.store.redis import RedisStore
from service.telemetry.observers import StoreObserver
from service.urls import place, redis_url


class Shared(NamedTuple):
    """A store that other processes share, and who they are; `place` is its URL as it may be
    logged."""

    store: RedisStore
    fleet: Fleet
    place: str
    observer: StoreObserver = NOBODY

    async def reached(self) -> None:
        """Wait until it answers. Raises ServeError for a Redis that is too old."""
        await reached(self.store.client, self.observer)


@asynccontextmanager
async def open_store(
    settings: Settings, observer: StoreObserver = NOBODY
) -> AsyncIterator[tuple[Store, Shared | None]]:
    """Open either store, and close it in the end; None stands beside the one in memory, which
    nobody shares. Raises ServeError for a URL that is none of a Redis."""
    if settings.store == MEMORY:
        yield MemoryStore(Bounds.of(settings)), None
        return
    async with connect(settings.store) as client:
        store = RedisStore(client, Bounds.of(settings), observer=observer)
        try:
            yield (
                store,
                Shared(store, Fleet(client, observer), place(redis_url(settings.store)), observer),
            )
        finally:
            await store.close()


@asynccontextmanager
async def open_shared(settings: Settings) -> AsyncIterator[Shared]:
    """Open the Redis store, and close it in the end. Raises ServeError where another is chosen."""
    async with open_store(settings) as (_, shared):
        yield need_shared(shared)


def need_shared(shared: Shared | None) -> Shared:
    """Return the store that processes share. Raises ServeError where there is none."""
    if shared is None:
        raise ServeError("jobs have to wait in Redis: set MULAN_STORE (--store) to redis://...")
    return shared
