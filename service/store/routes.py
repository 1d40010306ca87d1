"""Connections to the primary of a shard, wherever it is now: a Redis Cluster or Sentinels know.

Each new connection asks them, if what was known last is in doubt. A server that is no primary (any
more) refuses commands, and they are repeated at another for a short time: what was refused was not
carried out. A command whose answer was lost may have been, and its caller decides what to do.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)

# Seconds for which a command is repeated that no primary took, and between two tries.
REPEAT_FOR_S = 2.0
REPEAT_EVERY_S = 0.05
# Seconds between two questions where the primary is.
_ASK_EVERY_S = 0.1

Address = tuple[str, int]
T = TypeVar("T")


class Route(Protocol):
    """The way to the primary of a shard. `known` is where it was last known to be."""

    known: Address | None

    async def primary(self) -> Address:
        """Return host and port of the primary. Raises RedisError if nobody knows."""
        ...

    def doubt(self) -> None:
        """Ask again before the next connection, for the primary seems to be elsewhere."""
        ...


class ClusterMap:
    """The primaries of a Redis Cluster by their slots. All shards of a store share one map.

    Each node that the map names can be asked for the next one, and always the `hosts` too: those
    of the map may all be gone, or the map empty, as before a cluster has been put together.
    """

    def __init__(self, hosts: Sequence[Address], **options: Any) -> None:
        nodes = [ClusterNode(host, port) for host, port in hosts]
        self._cluster = RedisCluster(
            startup_nodes=nodes, require_full_coverage=False, max_connections=2, **options
        )
        self._named = dict(self._cluster.nodes_manager.startup_nodes)
        self._lock = asyncio.Lock()
        self._asked_at = 0.0
        self.doubted = True

    async def owner(self, key: str) -> Address:
        """Return host and port of the primary that has a key. Raises RedisError."""
        async with self._lock:
            if self.doubted and time.monotonic() > self._asked_at + _ASK_EVERY_S:
                self.doubted = False
                nodes = self._cluster.nodes_manager
                nodes.startup_nodes = self._named | nodes.startup_nodes
                try:
                    await nodes.initialize()
                except asyncio.CancelledError:
                    self.doubted = True
                    raise
                except Exception as error:
                    # Those who waited meanwhile need not ask in turn who does not answer.
                    self.doubted, self._asked_at = True, time.monotonic()
                    # redis-py raises it for a cluster in which no node has a slot.
                    if isinstance(error, IndexError):
                        raise RedisClusterException("no node has any slot") from None
                    raise
                self._asked_at = time.monotonic()
        try:
            node = self._cluster.get_node_from_key(key)
        except RedisClusterException:
            # No primary has the slot at present.
            self.doubted = True
            raise
        assert node is not None
        return node.host, int(node.port)

    async def close(self) -> None:
        """Close the connections by which the map is read."""
        nodes = self._cluster.nodes_manager
        nodes.startup_nodes = self._named | nodes.startup_nodes
        await nodes.aclose()
        await nodes.aclose("startup_nodes")


class ClusterRoute:
    """The way to the primary that has a key."""

    def __init__(self, owners: ClusterMap, key: str) -> None:
        self._map, self._key = owners, key
        self.known: Address | None = None

    async def primary(self) -> Address:
        self.known = await self._map.owner(self._key)
        return self.known

    def doubt(self) -> None:
        self._map.doubted = True


class SentinelRoute:
    """The way to the primary that Sentinels watch over by a name."""

    def __init__(self, sentinel: Sentinel, name: str) -> None:
        self._sentinel, self._name = sentinel, name
        self.known: Address | None = None
        self._doubted = True

    async def primary(self) -> Address:
        if self._doubted or self.known is None:
            host, port = await self._sentinel.discover_master(self._name)
            self.known, self._doubted = (str(host), int(port)), False
        return self.known

    def doubt(self) -> None:
        self._doubted = True


class RoutedConnection(Connection):
    """A connection to where a route leads when it connects."""

    def __init__(self, *, route: Route, **options: Any) -> None:
        super().__init__(**options)
        self.route = route
        self.address: Address | None = None

    async def connect(self) -> None:
        """Connect where that is needed: not to stay with a server that another has replaced, which
        may not know of it and take writes that are lost."""
        if is_astray(self):
            await self.disconnect(nowait=True)
        await super().connect()  # type: ignore[no-untyped-call]

    async def _connect(self) -> None:
        self.address = self.host, self.port = await self.route.primary()
        try:
            await super()._connect()  # type: ignore[no-untyped-call]
        except BaseException:
            self.route.doubt()
            raise

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*arguments, **options)
        except ResponseError as error:
            if is_elsewhere(error):
                self.route.doubt()
                await self.disconnect(nowait=True)
            raise
        except (RedisError, OSError):
            self.route.doubt()
            raise


class RoutedSSLConnection(RoutedConnection, SSLConnection):
    """A connection over TLS to where a route leads when it connects."""


class RoutedRedis(Redis):
    """A client of one shard, which repeats for a short time what no primary took."""

    async def execute_command(self, *arguments: Any, **options: Any) -> Any:
        command = super().execute_command
        return await repeated(lambda: command(*arguments, **options))  # type: ignore[no-untyped-call]


async def repeated(act: Callable[[], Awaitable[T]]) -> T:
    """Do something that no primary took again, for a short time."""
    deadline = time.monotonic() + REPEAT_FOR_S
    while True:
        try:
            return await act()
        except RedisError as error:
            if not is_elsewhere(error) or time.monotonic() > deadline:
                raise
        await asyncio.sleep(REPEAT_EVERY_S)


def routed(route: Route, tls: bool, **options: Any) -> Redis:
    """Make a client that follows a route, with these options of its pool of connections."""
    kind = RoutedSSLConnection if tls else RoutedConnection
    pool = BlockingConnectionPool(connection_class=kind, route=route, **options)
    return RoutedRedis.from_pool(pool)


def is_elsewhere(error: Exception) -> bool:
    """Whether a server has refused a command because it is not, or not yet, the primary.

    A server that replicates refuses the first write of a script in the script's own error. While a
    slot moves, nobody serves it: scripts declare a key that never exists, so that none is run on
    one half of the slot.
    """
    kinds = (AskError, TryAgainError, ClusterDownError, ReadOnlyError, BusyLoadingError)
    in_script = isinstance(error, ResponseError) and "READONLY" in str(error)
    return isinstance(error, kinds) or in_script


def is_astray(connection: AbstractConnection | None) -> bool:
    """Whether a connection leads to a server that is known not to be the primary any more."""
    if not isinstance(connection, RoutedConnection) or connection.route.known is None:
        return False
    return connection.address not in (None, connection.route.known)
