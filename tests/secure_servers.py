"""A Redis Cluster and a Redis with Sentinels that are reached over TLS: before each server is a
proxy, whose port is the only one that clients are told. The redis-server of the tests has no TLS.
"""

import ssl
from contextlib import ExitStack
from pathlib import Path

from proxies import Proxy

from loadtests.redis_cluster import Cluster, Watched

HOST = "localhost"


class SecureCluster(Cluster):
    """Three primaries, whose proxies have this context."""

    def __init__(self, folder: Path, tls: ssl.SSLContext) -> None:
        super().__init__(folder)
        self._stack = ExitStack()
        for node in self.nodes:
            node.told = self._stack.enter_context(Proxy(node.port, tls)).port
            bus = str(node.port + 10_000)
            node.options += ("--cluster-announce-ip", HOST, "--cluster-announce-bus-port", bus)
            node.options += ("--cluster-announce-port", str(node.told))

    @property
    def url(self) -> str:
        hosts = ",".join(f"{HOST}:{node.told}" for node in self.nodes)
        return f"rediss+cluster://{hosts}/?shards={self.primaries}"

    def stop(self) -> None:
        self._stack.close()
        super().stop()


class SecureWatched(Watched):
    """A primary with a replica and Sentinels, whose proxies have this context. Those of the former
    take the Sentinels' connections without TLS too."""

    def __init__(self, folder: Path, tls: ssl.SSLContext) -> None:
        super().__init__(folder, host=HOST)
        self._stack = ExitStack()
        for node in (self.primary, self.replica):
            node.told = self._stack.enter_context(Proxy(node.port, tls, takes_plain=True)).port
            node.options += ("--replica-announce-ip", HOST)
            node.options += ("--replica-announce-port", str(node.told))
        for node in self.sentinels:
            node.told = self._stack.enter_context(Proxy(node.port, tls)).port

    @property
    def url(self) -> str:
        hosts = ",".join(f"{HOST}:{sentinel.told}" for sentinel in self.sentinels)
        return f"rediss+sentinel://{hosts}/queue/0"

    def stop(self) -> None:
        self._stack.close()
        super().stop()
