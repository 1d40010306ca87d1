"""A redis-server of the tests' own: the one on PATH, else the one that came with a wheel."""

import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import redis

from loadtests.local import free_port
from loadtests.redis_cluster import executable
from service.store.shards import ALONE, Shard

START_WITHIN_S = 20.0


class RedisServer:
    """One server on a free port; a `durable` one keeps its jobs over a restart."""

    def __init__(self, folder: Path, durable: bool = False) -> None:
        self.folder, self.port, self.durable = folder, free_port(), durable
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, with what the append-only file has; wait until it answers."""
        command = [executable(), "--port", str(self.port), "--dir", str(self.folder)]
        kept = ["--appendonly", "yes", "--appendfsync", "always"] if self.durable else []
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--save", "", *kept], stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_WITHIN_S
        with redis.Redis(port=self.port) as client:
            while True:
                try:
                    client.ping()
                except redis.ConnectionError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.02)
                else:
                    return

    @property
    def parts(self) -> list[tuple[int, Shard]]:
        """The port of each shard."""
        return [(self.port, ALONE)]

    def flush(self) -> None:
        """Forget everything."""
        with redis.Redis(port=self.port) as client:
            client.flushall()

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP pauses it, SIGCONT lets it go on."""
        assert self._process is not None
        self._process.send_signal(number)

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

    def stop(self) -> None:
        """Stop at once; the file stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
