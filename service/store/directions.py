"""The search for a primary: the nodes of a Redis Cluster know where it is, or Sentinels.

They are asked in random order, each shortly after the one before it, and the first good answer
counts. So a search takes no longer than one answer may, however many of them are silent.
"""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from redis import exceptions
from redis.asyncio import ConnectionPool, Redis
from redis.crc import key_slot

from service.store.links import SPEAKS_NO_TLS, Trust, made_of, raise_with
from service.store.retry import cancel_all

Address = tuple[str, int]
T = TypeVar("T")

# Seconds for a whole search, and between two searches.
SEARCH_WITHIN_S = 1.0
_SEARCH_EVERY_S = 0.1


async def first_answer(
    asks: Sequence[Callable[[], Coroutine[Any, Any, T]]], within_s: float = SEARCH_WITHIN_S
) -> T:
    """Ask in random order, and return the first answer. The last one that is asked has half of the
    time. Raises RedisError: the last refusal, or that nobody has answered."""
    pause_s, running = within_s / 2 / max(1, len(asks)), set[asyncio.Task[T]]()
    refusal: Exception = exceptions.TimeoutError(
        "nobody who knows where the primary is has answered"
    )
    left, deadline = random.sample(asks, len(asks)), time.monotonic() + within_s
    try:
        while (rest_s := deadline - time.monotonic()) > 0 and (left or running):
            if left:
                asking = asyncio.create_task(left.pop()())
                asking.add_done_callback(_take_note)
                running.add(asking)
                rest_s = min(rest_s, pause_s)
            done, running = await asyncio.wait(
                running, timeout=rest_s, return_when=asyncio.FIRST_COMPLETED
            )
            for one in done:
                error = one.exception()
                if error is None:
                    return one.result()
                if not isinstance(error, exceptions.RedisError | OSError):
                    raise error
                refusal = error
        raise refusal
    finally:
        await cancel_all(*running)


def _take_note(asked: asyncio.Task[T]) -> None:
    """Keep asyncio from complaining about the error of one whose answer nobody needs any more."""
    if not asked.cancelled():
        asked.exception()


class _Range(NamedTuple):
    """A range of slots, its ends included, and its primary."""

    first: int
    last: int
    primary: Address


class ClusterMap:
    """The primaries of a Redis Cluster by their slots. All shards of a store share one map.

    Each node that the map names can be asked for the next one, and always the `hosts` too: those
    of the map may all be gone, or the map empty, as before a cluster has been put together. The
    connections have these `options` of redis-py, and are over TLS if there is a `trust`.
    """

    def __init__(
        self, hosts: Sequence[Address], trust: Trust | None = None, **options: Any
    ) -> None:
        self._hosts, self._trust = hosts, trust
        # Facts of nodes are lists in RESP2.
        self._options = {**made_of(trust), **options, "protocol": 2}
        self._ranges = list[_Range]()
        self._nodes = dict[Address, None]()
        self._lock, self._searched_at = asyncio.Lock(), 0.0
        self._doubted = True
        # Why the last search has failed.
        self._refusal = ""

    def doubt(self) -> None:
        """Search again before the next answer."""
        self._doubted = True

    async def owner(self, key: str) -> Address:
        """Return host and port of the primary that has a key. Raises RedisError."""
        async with self._lock:
            # Those who waited meanwhile need not search in turn.
            if self._doubted and time.monotonic() > self._searched_at + _SEARCH_EVERY_S:
                try:
                    await self._search()
                finally:
                    self._searched_at = time.monotonic()
        slot = key_slot(key.encode())
        for one in self._ranges:
            if one.first <= slot <= one.last:
                return one.primary
        self._doubted = True
        raise exceptions.ConnectionError(self._refusal or "no primary has the slot at present")

    async def _search(self) -> None:
        # A doubt that comes up meanwhile is one of what is found.
        self._doubted, self._refusal = False, ""
        try:
            known = dict.fromkeys((*self._hosts, *self._nodes))
            asks = [partial(self._ask, node) for node in known]
            found = await _explained(first_answer(asks), self._trust)
        except BaseException as error:
            self._doubted, self._refusal = True, str(error)
            raise
        self._ranges, self._nodes = found

    async def _ask(self, node: Address) -> tuple[list[_Range], dict[Address, None]]:
        """Ask a node for its map, and for all nodes that it knows. Raises RedisError."""
        pool = ConnectionPool(host=node[0], port=node[1], **self._options)
        async with Redis.from_pool(pool) as client:
            ranges, nodes = list[_Range](), dict[Address, None]()
            found = await client.execute_command("CLUSTER SLOTS")  # type: ignore[no-untyped-call]
            for first, last, *each in found:
                named = [self._address(node[0], *one) for one in each]
                ranges.append(_Range(int(first), int(last), named[0]))
                nodes |= dict.fromkeys(named)
        if not ranges:
            raise exceptions.ConnectionError("no node has any slot")
        return ranges, nodes

    def _address(
        self, asked: str, host: bytes | None, port: int, _id: bytes = b"", *more: Sequence[bytes]
    ) -> Address:
        """Return the address of a node, of which the node that was asked told so much.

        From Redis 7 on there are facts, of which names and values take turns. Over TLS the name of
        a host counts more than its address, since certificates are for names. A node may be unable
        to say where it is itself; it says nothing or a question mark then.
        """
        facts = more[0] if more else ()
        told = dict(zip(facts[::2], facts[1::2], strict=False))
        if self._trust is not None and told.get(b"hostname"):
            host = told[b"hostname"]
        elif host == b"?":
            host = told.get(b"ip")
        return host.decode() if host else asked, int(port)


class Sentinels:
    """The Sentinels of a primary that has a name. The connections have these `options` of redis-py,
    and are over TLS if there is a `trust`."""

    def __init__(
        self, hosts: Sequence[Address], name: str, trust: Trust | None = None, **options: Any
    ) -> None:
        self._name, self._trust = name, trust
        self._each = [
            Redis.from_pool(ConnectionPool(host=host, port=port, **{**made_of(trust), **options}))
            for host, port in hosts
        ]

    async def primary(self) -> Address:
        """Return host and port of the primary. Raises RedisError."""
        asks = [partial(self._ask, each) for each in self._each]
        return await _explained(first_answer(asks), self._trust)

    async def _ask(self, sentinel: Redis) -> Address:
        """Ask a Sentinel where the primary is. Raises RedisError."""
        found: Any = await sentinel.sentinel_master(self._name)
        if not found["is_master"] or found["is_sdown"] or found["is_odown"]:
            raise exceptions.ConnectionError("a Sentinel takes the primary for dead")
        return str(found["ip"]), int(found["port"])

    async def close(self) -> None:
        """Close the connections to the Sentinels."""
        for one in self._each:
            await one.aclose()


async def _explained(search: Coroutine[Any, Any, T], trust: Trust | None) -> T:
    """Search; where all are silent over TLS, and have never been otherwise, they may speak none."""
    try:
        return await search
    except exceptions.TimeoutError as error:
        unknown = trust is not None and not trust.has_worked
        raise_with(error, SPEAKS_NO_TLS if unknown else None)
