"""The stores under contract: a new one is one more parameter here."""

from collections.abc import AsyncIterator, Iterator

import pytest
from redis_server import RedisServer
from store_setup import POLL_S, FakeClock, bounds

from loadtests.redis_cluster import Cluster
from service.store.base import Store
from service.store.connection import connect_all
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


@pytest.fixture(scope="session")
def running_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def cluster(running_cluster: Cluster) -> Cluster:
    """An empty Redis Cluster of three primaries."""
    running_cluster.flush()
    return running_cluster


@pytest.fixture(params=["memory", "redis", "cluster"])
async def store(request: pytest.FixtureRequest, clock: FakeClock) -> AsyncIterator[Store]:
    """A store that holds CAPACITY waiting jobs and remembers RETAINED ended ones: in memory, in a
    Redis, and in the only shard of a Redis Cluster."""
    if request.param == "memory":
        yield MemoryStore(bounds(), clock)
        return
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("server")
        url = server.url
    else:
        cluster: Cluster = request.getfixturevalue("cluster")
        url = cluster.url.replace("shards=3", "shards=1")
    async with connect_all(url) as ((client, shard),):
        store = RedisStore(client, bounds(), clock=clock, poll_s=POLL_S, shard=shard)
        yield store
        await store.close()
