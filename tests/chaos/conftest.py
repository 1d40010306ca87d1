"""A durable Redis and a crew of real processes on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from crew import Crew
from redis_server import RedisServer
from tiny_zoo import write_checkpoint


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder, durable=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def crew(tmp_path: Path, own_redis: RedisServer) -> Iterator[Crew]:
    write_checkpoint(tmp_path / "zoo" / "tiny")
    with Crew(3, tmp_path / "zoo", own_redis.url, tmp_path / "log") as crew:
        crew.wait_until_ready()
        yield crew
