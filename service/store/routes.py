"""Connections to the primary of a shard, wherever it is now: a Redis Cluster or Sentinels know.

Each new connection asks them, if what was known last is in doubt. A server that is no primary (any
more) refuses commands, and they are repeated at another for a short time: what was refused was not
carried out. A command whose answer was lost may have been, and its caller decides what to do.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from service.store.directions import Address, ClusterMap, Sentinels
from service.store.links import Link, SecureLink, Trust, made_of

# Seconds for which a command is repeated that no primary took, and between two tries.
REPEAT_FOR_S = 2.0
REPEAT_EVERY_S = 0.05

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


class ClusterRoute:
    """The way to the primary that has a key."""

    def __init__(self, owners: ClusterMap, key: str) -> None:
        self._map, self._key = owners, key
        self.known: Address | None = None

    async def primary(self) -> Address:
        self.known = await self._map.owner(self._key)
        return self.known

    def doubt(self) -> None:
        self._map.doubt()


class SentinelRoute:
    """The way to the primary that Sentinels watch over."""

    def __init__(self, sentinels: Sentinels) -> None:
        self._sentinels = sentinels
        self.known: Address | None = None
        self._doubted = True

    async def primary(self) -> Address:
        if self._doubted or self.known is None:
            self.known, self._doubted = await self._sentinels.primary(), False
        return self.known

    def doubt(self) -> None:
        self._doubted = True


class RoutedConnection(Link):
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
        await super().connect()

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
            if is_elsewhere(error) and not is_moving(error):
                self.route.doubt()
                await self.disconnect(nowait=True)
            raise
        except (RedisError, OSError):
            self.route.doubt()
            raise


class RoutedSecureConnection(RoutedConnection, SecureLink):
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


def routed(route: Route, trust: Trust | None, **options: Any) -> Redis:
    """Make a client that follows a route, with these options of its pool of connections, over TLS
    if there is a trust."""
    kind = RoutedSecureConnection if trust else RoutedConnection
    options = {**made_of(trust), **options, "connection_class": kind}
    return RoutedRedis.from_pool(BlockingConnectionPool(route=route, **options))


def is_elsewhere(error: Exception) -> bool:
    """Whether a server has refused a command because it is not, or not yet, the primary.

    A server that replicates refuses the first write of a script in the script's own error.
    """
    kinds = (AskError, TryAgainError, ClusterDownError, ReadOnlyError, BusyLoadingError)
    in_script = isinstance(error, ResponseError) and "READONLY" in str(error)
    return isinstance(error, kinds) or in_script


def is_moving(error: Exception) -> bool:
    """Whether the slot of a command is on its way to another primary, and this one has it until
    then. Nobody serves such a slot: scripts declare a key that never exists, so that none is run on
    one half of the slot."""
    return isinstance(error, AskError | TryAgainError) and not isinstance(error, MovedError)


def is_astray(connection: AbstractConnection | None) -> bool:
    """Whether a connection leads to a server that is known not to be the primary any more."""
    if not isinstance(connection, RoutedConnection) or connection.route.known is None:
        return False
    return connection.address not in (None, connection.route.known)
