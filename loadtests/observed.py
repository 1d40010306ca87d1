"""A fleet on loopback as it is deployed: an API and workers over a Redis, and a Prometheus."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from loadtests.local import free_port
from loadtests.prometheus import Prometheus

READY_WITHIN_S = 90.0


class Fleet:
    """One API at `address`, and workers; `places` are the addresses of their metrics."""

    def __init__(self, folder: Path, redis_url: str, size: int, *arguments: str) -> None:
        self.folder = folder
        self._arguments = ("--store", redis_url, "--threads", "1", *arguments)
        ports = [free_port() for _ in range(size + 1)]
        self.places = [f"127.0.0.1:{port}" for port in ports]
        self.address = f"http://{self.places[0]}"
        self.api = self._start("api", "--port", ports[0])
        self.workers = [self._start("worker", "--metrics-port", port) for port in ports[1:]]

    def await_ready(self) -> None:
        """Wait for the API and for every worker's metrics. Raises RuntimeError."""
        deadline = time.monotonic() + READY_WITHIN_S
        paths = ["/readyz", *["/metrics"] * len(self.workers)]
        wanted = {f"http://{place}{path}" for place, path in zip(self.places, paths, strict=True)}
        while wanted:
            if time.monotonic() > deadline:
                logs = "".join(path.read_text() for path in self.folder.glob("*.log"))
                raise RuntimeError(f"{wanted} not ready:\n{logs}")
            for url in sorted(wanted):
                with contextlib.suppress(httpx.TransportError):
                    if httpx.get(url).status_code == httpx.codes.OK:
                        wanted.remove(url)
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop all processes that still run."""
        for process in (*self.workers, self.api):
            process.kill()
            process.wait()

    def _start(self, part: str, flag: str, port: int) -> subprocess.Popen[bytes]:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("MULAN_")
        }
        start = [sys.executable, "-c", "from service.cli import main; main()", part]
        with (self.folder / f"{part}-{port}.log").open("wb") as log:
            return subprocess.Popen(
                [*start, flag, str(port), *self._arguments],
                env=environment,
                stdout=log,
                stderr=log,
            )


@contextlib.contextmanager
def observed(
    folder: Path, redis_url: str, *arguments: str, size: int = 2, hold: int | None = None
) -> Iterator[tuple[Fleet, Prometheus]]:
    """Yield a fleet that is ready, and the Prometheus that scrapes it."""
    fleet = Fleet(folder, redis_url, size, *arguments)
    try:
        fleet.await_ready()
        targets = {"mulan-api": fleet.places[:1], "mulan-worker": fleet.places[1:]}
        with Prometheus(folder, targets, hold=hold) as prometheus:
            yield fleet, prometheus
    finally:
        fleet.stop()
