"""A durable Redis and a crew of real processes on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from crew import Crew
from flood import QUEUED
from redis_server import RedisServer
from tiny_zoo import write_checkpoint


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"), durable=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def crew(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    own_redis: RedisServer,
) -> Iterator[Crew]:
    """One for all tests of a module: what one does to it must not harm the next."""
    folder = tmp_path_factory.mktemp("crew")
    write_checkpoint(folder / "zoo" / "tiny")
    settings = getattr(request.module, "SETTINGS", {})
    with Crew(3, folder / "zoo", own_redis.url, folder / "log", **settings) as crew:
        crew.wait_until_ready()
        yield crew


@pytest.fixture
def small_redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def small_crew(tmp_path: Path, small_redis: RedisServer) -> Iterator[Crew]:
    """One worker, and a short queue."""
    write_checkpoint(tmp_path / "zoo" / "tiny")
    crew = Crew(1, tmp_path / "zoo", small_redis.url, tmp_path / "crew", max_queued_jobs=QUEUED)
    with crew:
        crew.wait_until_ready()
        yield crew
