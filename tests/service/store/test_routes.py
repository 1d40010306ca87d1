"""Where the primary of a shard is: a cluster that is not put together yet, silent servers, and
connections to one that is the primary no more."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from redis.crc import key_slot
from redis.exceptions import RedisError, ResponseError

from loadtests.redis_cluster import SLOTS, Node, until
from service.store.connection import connect_all
from service.store.directions import SEARCH_WITHIN_S, Address, ClusterMap, Sentinels, first_answer
from service.store.routes import routed

pytestmark = pytest.mark.anyio

# Servers that answer nothing.
SILENT = 8


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[Node]:
    """A server that could be in a cluster, and has no slots."""
    with Node(tmp_path, "--save", "", "--cluster-enabled", "yes") as node:
        yield node


async def test_a_cluster_is_found_that_is_put_together_later(lone: Node) -> None:
    owners = ClusterMap([("127.0.0.1", lone.port)])
    slot = key_slot(b"key")
    with lone.client() as client:
        for slots in (range(slot), range(slot + 1, SLOTS), (slot,)):
            for _ in range(2):
                with pytest.raises(RedisError):
                    await owners.owner("key")
                await asyncio.sleep(0.15)
            client.execute_command("CLUSTER ADDSLOTS", *slots)
        until(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
    assert await owners.owner("key") == ("127.0.0.1", lone.port)


async def test_who_waits_for_a_silent_cluster_does_not_ask_in_turn() -> None:
    with silent() as node:
        owners = ClusterMap([node])
        began = time.monotonic()
        found = await asyncio.gather(
            *(owners.owner("key") for _ in range(20)), return_exceptions=True
        )
        assert all(isinstance(one, RedisError) for one in found)
        assert time.monotonic() - began < 3 * SEARCH_WITHIN_S


async def test_who_asks_soon_after_a_search_is_told_why_it_failed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        node = server.getsockname()
    owners = ClusterMap([node])
    for _ in range(3):
        with pytest.raises(RedisError, match="Connect call failed"):
            await owners.owner("key")


async def test_a_search_takes_as_long_however_many_are_silent() -> None:
    with contextlib.ExitStack() as stack:
        nodes = [stack.enter_context(silent()) for _ in range(SILENT)]
        options = {"socket_timeout": SEARCH_WITHIN_S}
        sentinels = Sentinels(nodes, "queue", **options)
        for search in (ClusterMap(nodes, **options).owner("key"), sentinels.primary()):
            began = time.monotonic()
            with pytest.raises(RedisError):
                await search
            assert time.monotonic() - began < SILENT / 2 * SEARCH_WITHIN_S
        await sentinels.close()


async def test_one_that_answers_is_found_among_many_that_are_silent(lone: Node) -> None:
    with contextlib.ExitStack() as stack, lone.client() as client:
        client.execute_command("CLUSTER ADDSLOTS", *range(SLOTS))
        living = ("127.0.0.1", lone.port)
        nodes = [stack.enter_context(silent()) for _ in range(SILENT)]
        owners = ClusterMap([*nodes, living])
        found = None
        async with asyncio.timeout(60):
            while found is None:
                # On a machine that stalls, the first searches may end before it answers.
                with contextlib.suppress(RedisError):
                    found = await owners.owner("key")
        assert found == living


async def test_the_first_answer_ends_the_search() -> None:
    asked = list[str]()

    async def ask(name: str) -> str:
        asked.append(name)
        if name == "good":
            return name
        if name == "refuses":
            raise ResponseError(name)
        await asyncio.sleep(3600)
        raise AssertionError

    for others in (["refuses"] * 3, ["silent"] * 3, ["refuses", "silent"]):
        asks = [partial(ask, name) for name in (*others, "good")]
        assert await first_answer(asks, 4.0) == "good"
    with pytest.raises(ResponseError, match="refuses"):
        await first_answer([partial(ask, "refuses"), partial(ask, "silent")], 0.2)
    with pytest.raises(RedisError, match="nobody"):
        await first_answer([partial(ask, "silent")] * 3, 0.2)
    # One that was answered at once is asked alone.
    asked.clear()
    await first_answer([partial(ask, "good")] * 9)
    assert asked == ["good"]


async def test_a_silent_sentinel_delays_the_next_one_by_its_time_alone() -> None:
    with silent() as (host, port):
        async with connect_all(f"redis+sentinel://{host}:{port}/queue/0") as ((client, _),):
            began = time.monotonic()
            with pytest.raises(RedisError):
                await client.ping()
            assert time.monotonic() - began < 3.0


class _Told:
    """A route as it is told."""

    known: Address | None = None

    async def primary(self) -> Address:
        assert self.known is not None
        return self.known

    def doubt(self) -> None:
        pass


async def test_no_connection_stays_with_a_server_that_was_replaced(tmp_path: Path) -> None:
    route = _Told()
    client = routed(route, None, max_connections=2)
    with Node(tmp_path / "old") as old, Node(tmp_path / "new") as new:
        route.known = ("127.0.0.1", old.port)
        await client.set("key", "old")
        route.known = ("127.0.0.1", new.port)
        await client.set("key", "new")
        for node in (old, new):
            with node.client() as each:
                assert each.get("key") == (b"old" if node is old else b"new")
    await client.aclose()


@contextlib.contextmanager
def silent() -> Iterator[Address]:
    """The address of a server that takes connections, and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()
