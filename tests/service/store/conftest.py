"""The stores under contract: a new one is one more parameter here."""

from collections.abc import AsyncIterator, Iterator

import pytest
from redis_server import RedisServer
from store_setup import POLL_S, FakeClock, bounds

from service.store.base import Store
from service.store.connection import connect
from service.store.memory import MemoryStore
from service.store.redis import RedisStore


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def running_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(running_redis: RedisServer) -> RedisServer:
    """An empty Redis."""
    running_redis.flush()
    return running_redis


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, clock: FakeClock) -> AsyncIterator[Store]:
    """A store that holds CAPACITY waiting jobs and remembers RETAINED ended ones."""
    if request.param == "memory":
        yield MemoryStore(bounds(), clock)
        return
    server: RedisServer = request.getfixturevalue("server")
    async with connect(server.url) as client:
        store = RedisStore(client, bounds(), clock=clock, poll_s=POLL_S)
        yield store
        await store.close()
