"""Two shards, of which one refuses something or is away, and claims that are cancelled."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from store_setup import RESULT, A, job

from loadtests.redis_cluster import Node
from service.errors import StoreUnavailable
from service.jobs import Job
from service.store import keys, sharded
from service.store.base import Room
from service.store.bounds import Bounds
from service.store.claiming import Claiming
from service.store.connection import connect_all
from service.store.redis import RedisStore
from service.store.sharded import ShardedStore
from service.store.shards import new_id

pytestmark = pytest.mark.anyio

SHARDS = 2
BOUNDS = Bounds(100, 100, 60.0, 30.0, 2, 10**6)


class _Full(Room):
    """One more job fills it."""

    @property
    def full(self) -> bool:
        return True


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    folder: Path = tmp_path_factory.mktemp("shards")
    nodes = [Node(folder / str(number), "--save", "") for number in range(SHARDS)]
    with contextlib.ExitStack() as stack:
        for node in nodes:
            stack.enter_context(node)
        yield nodes


@pytest.fixture
async def store(nodes: list[Node]) -> AsyncIterator[ShardedStore]:
    """An empty store, of one process."""
    for node in nodes:
        with node.client() as client:
            client.config_set("min-replicas-to-write", 0)
            client.config_set("maxmemory", 0)
            client.flushall()
    hosts = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
    async with connect_all(f"redis://{hosts}/0") as shards:
        store = ShardedStore(
            [RedisStore(client, BOUNDS, "worker", shard=shard) for client, shard in shards]
        )
        yield store
        await store.close()


def timely(shard: int) -> Job:
    """A job of this shard, whose deadline is not over."""
    return replace(job(new_id(time.time(), shard, SHARDS)), deadline=time.time() + 600)


def commands(node: Node) -> int:
    with node.client() as client:
        return int(client.info("stats")["total_commands_processed"])


def scripts(node: Node) -> int:
    with node.client() as client:
        return int(client.info("commandstats")["cmdstat_evalsha"]["calls"])


@pytest.mark.parametrize("setting", ["min-replicas-to-write", "maxmemory"])
async def test_a_shard_that_refuses_claims_is_asked_less_and_less(
    store: ShardedStore, nodes: list[Node], setting: str
) -> None:
    """Without a replica, or without memory, it answers reads all the same."""
    with nodes[1].client() as client:
        client.config_set(setting, 1)
    claiming = asyncio.ensure_future(store.claim((A,)))
    await asyncio.sleep(1.0)
    before = commands(nodes[1])
    await asyncio.sleep(2.0)
    assert commands(nodes[1]) - before < 100
    # The other shard's jobs go on, and its own once it takes claims again.
    first, second = timely(0), timely(1)
    await store.put(first)
    assert (await asyncio.wait_for(claiming, 5)).job.id == first.id
    claiming = asyncio.ensure_future(store.claim((A,)))
    with nodes[1].client() as client:
        client.config_set(setting, 0)
    await store.put(second)
    held = await asyncio.wait_for(claiming, 15)
    assert await store.complete(held, RESULT)


async def test_a_claim_that_is_cancelled_after_it_found_a_job_hands_it_back(
    store: ShardedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    claiming = asyncio.ensure_future(store.claim((A,), _Full()))
    # Both shards are listened to, of which the other one has to be told otherwise.
    await asyncio.sleep(0.5)
    begun, plain = asyncio.Event(), Claiming.stop_listening

    async def slow(self: Claiming, checkpoints: Collection[str]) -> None:
        if not begun.is_set():
            begun.set()
            await asyncio.sleep(60)
        await plain(self, checkpoints)

    monkeypatch.setattr(Claiming, "stop_listening", slow)
    wanted = timely(0)
    await store.put(wanted)
    await asyncio.wait_for(begun.wait(), 5)
    claiming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await claiming
    assert (await store.summary(wanted.id)).status == "queued"


async def test_a_claim_that_is_cancelled_as_it_looks_is_woken_by_no_shard(
    store: ShardedStore, nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.suppress(TimeoutError, StoreUnavailable):
        await asyncio.wait_for(store.claim((A,)), 0.5)
    begun, plain = asyncio.Event(), Claiming._take

    async def slow(self: Claiming, checkpoints: Collection[str], room: Room) -> object:
        reply = await plain(self, checkpoints, room)
        begun.set()
        await asyncio.sleep(60)
        return reply

    monkeypatch.setattr(Claiming, "_take", slow)
    claiming = asyncio.ensure_future(store.claim((A,)))
    await asyncio.wait_for(begun.wait(), 5)
    claiming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await claiming
    for node in nodes:
        with node.client() as client:
            assert not client.exists(keys.LISTENERS + A)


async def test_one_job_tries_whether_a_shard_answers_again(
    store: ShardedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = 0

    async def away(*_: object) -> str:
        nonlocal refused
        refused += 1
        raise StoreUnavailable("away")

    monkeypatch.setattr(sharded, "AVOIDED_S", 0.3)
    monkeypatch.setattr(store.shards[1], "put", away)
    monkeypatch.setattr(store.shards[1], "check_capacity", away)

    def begun(count: int) -> list[Job]:
        return [replace(job(store.new_id()), deadline=time.time() + 600) for _ in range(count)]

    async def handed_in(jobs: list[Job]) -> int:
        before = refused
        await asyncio.gather(*map(store.put, jobs), return_exceptions=True)
        return refused - before

    # A look for room tells of it already, and is not repeated there.
    for _ in range(4):
        await store.check_capacity("", 1)
    assert refused == 1
    assert await handed_in(begun(6)) == 0
    await asyncio.sleep(0.4)
    # Only one of those that are on their way at once.
    assert await handed_in(begun(6)) == 1
    assert await handed_in(begun(6)) == 0
    monkeypatch.undo()
    await asyncio.sleep(2.1)
    await store.put(begun(2)[0])
    assert {store.of(one.id) for one in begun(4)} == set(store.shards)


async def test_calls_of_a_shard_are_not_held_up_by_one_that_is_away(
    store: ShardedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shard in (0, 0, 0, 1):
        owed = replace(timely(shard), callback_url="https://h/")
        await store.put(owed)
        await store.cancel(owed.id)
    asked, callbacks = 0, store.shards[1].callbacks

    async def away(_: float) -> None:
        nonlocal asked
        asked += 1
        raise StoreUnavailable("away")

    monkeypatch.setattr(callbacks, "take", away)
    monkeypatch.setattr(sharded, "LEFT_OUT_S", 0.5)
    for _ in range(3):
        assert await store.callbacks.take(60.0) is not None
    assert asked == 1
    assert await store.callbacks.take(60.0) is None
    await asyncio.sleep(0.6)
    with pytest.raises(StoreUnavailable):
        await store.callbacks.take(60.0)
    monkeypatch.undo()
    await asyncio.sleep(0.6)
    assert await store.callbacks.take(60.0) is not None


async def test_a_place_that_cannot_be_counted_on_is_the_latest_all_the_same(
    store: ShardedStore, nodes: list[Node]
) -> None:
    names = [await store.put(timely(0)) for _ in range(2)]
    for name in names:
        await store.cancel(name)
    with nodes[0].client() as client:
        client.set(keys.ADMITTED, 2**60)
    names += [await store.put(timely(0)) for _ in range(2)]
    listed = await store.jobs(None, None, 9, None)
    assert [one.id for one in listed.jobs] == names[::-1]


async def test_a_shard_whose_last_job_was_taken_is_not_looked_at_in_vain(
    store: ShardedStore, nodes: list[Node]
) -> None:
    await store.put(timely(0))
    held, another = await store.claim((A,)), timely(0)
    before = scripts(nodes[0])
    claiming = asyncio.ensure_future(store.claim((A,)))
    await asyncio.sleep(0.5)
    assert scripts(nodes[0]) == before
    await store.put(another)
    assert (await asyncio.wait_for(claiming, 5)).job.id == another.id
    assert scripts(nodes[0]) == before + 2
    assert await store.complete(held, RESULT)
