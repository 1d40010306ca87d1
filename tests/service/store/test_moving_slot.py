"""A slot of a Redis Cluster moves to another primary, key by key, while jobs come and go."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from redis.crc import key_slot
from store_setup import RESULT, A, job

from loadtests.redis_cluster import Cluster, Node
from service.errors import QueueFull, StoreUnavailable
from service.jobs import Job
from service.settings import Settings
from service.store import keys
from service.store.opening import Shared, open_store
from service.store.retry import cancel_all, repeat, retry_while_unavailable
from service.store.routes import REPEAT_FOR_S
from service.store.sharded import ShardedStore
from service.store.shards import in_cluster, new_id

pytestmark = pytest.mark.anyio

SHARDS, LEASE_S = 3, 4.0
# The shard whose slot moves, and the one whose primary takes it.
MOVED, THERE = in_cluster(SHARDS)[1], in_cluster(SHARDS)[0]
KEY = MOVED.name(keys.NOTHING)
SLOT = key_slot(KEY.encode())
# Jobs before, while and after the slot moves, and keys that move at once.
JOBS, STEP = 150, 10


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("moving")) as cluster:
        yield cluster


@pytest.fixture
async def stores(own_cluster: Cluster) -> AsyncIterator[list[ShardedStore]]:
    """An empty store, of three processes."""
    own_cluster.flush()
    async with AsyncExitStack() as stack:
        found = list[ShardedStore]()
        for _ in range(3):
            settings = Settings(store=own_cluster.url, lease_s=LEASE_S)
            store, shared = await stack.enter_async_context(open_store(settings))
            assert isinstance(store, ShardedStore)
            assert isinstance(shared, Shared)
            await shared.wait_until_reachable()
            found.append(store)
        yield found


def timely(shard: int) -> Job:
    made = job(new_id(time.time(), shard, SHARDS))
    return replace(made, deadline=time.time() + 600)


class Move:
    """The move of the slot from its primary to another."""

    def __init__(self, source: Node, target: Node) -> None:
        self._source, self._target = source.client(), target.client()
        self._port = target.port
        ids = [
            str(node.execute_command("CLUSTER MYID"), "ascii")
            for node in (self._source, self._target)
        ]
        self._target_id = ids[1]
        self._target.execute_command("CLUSTER SETSLOT", SLOT, "IMPORTING", ids[0])
        self._source.execute_command("CLUSTER SETSLOT", SLOT, "MIGRATING", ids[1])

    def left(self) -> list[bytes]:
        """The keys that have not moved."""
        return list(self._source.execute_command("CLUSTER GETKEYSINSLOT", SLOT, 10_000))

    def carry(self, names: list[bytes]) -> None:
        if names:
            there = ("127.0.0.1", self._port, "", 0, 5000)
            self._source.execute_command("MIGRATE", *there, "KEYS", *names)

    def end(self) -> None:
        for client in (self._target, self._source):
            client.execute_command("CLUSTER SETSLOT", SLOT, "NODE", self._target_id)
            client.close()

    def connections(self) -> int:
        """How many connections the source has taken in all."""
        facts: Any = self._source.info("stats")
        return int(facts["total_connections_received"])


def ends_of(cluster: Cluster) -> tuple[Node, Node]:
    """The primary of the slot, and another one."""
    source = cluster.owner(KEY)
    there = cluster.owner(THERE.name(keys.NOTHING))
    return source, there if there is not source else cluster.nodes[1]


async def test_while_a_slot_moves_no_script_sees_a_part_of_it(
    own_cluster: Cluster, stores: list[ShardedStore]
) -> None:
    store = stores[0]
    names = [await store.put(timely(MOVED.number)) for _ in range(4)]
    move = Move(*ends_of(own_cluster))
    moved = move.left()
    half = len(moved) // 2
    move.carry(moved[:half])
    began, before = time.monotonic(), move.connections()
    for call in (store.summary(names[0]), store.put(timely(MOVED.number)), store.sweep()):
        with pytest.raises(StoreUnavailable):
            await call
    assert time.monotonic() - began < 4 * REPEAT_FOR_S
    # What was refused is repeated on the connection that has it: a sweep needs one besides.
    assert move.connections() - before <= 2
    assert len(move.left()) == len(moved) - half
    move.carry(moved[half:])
    move.end()
    for _ in names:
        held = await asyncio.wait_for(retry_while_unavailable(lambda: store.claim((A,))), 20)
        assert held.job.id in names
        assert await store.complete(held, RESULT)


async def test_no_job_is_lost_or_run_twice_while_a_slot_moves(
    own_cluster: Cluster, stores: list[ShardedStore]
) -> None:
    api, *workers = stores
    accepted, done = list[str](), Counter[str]()

    async def put(number: int) -> None:
        made = timely(number % SHARDS)
        while True:
            try:
                accepted.append(await api.put(made))
                return
            except (StoreUnavailable, QueueFull):
                await asyncio.sleep(0.1)

    async def work(store: ShardedStore) -> None:
        held = await retry_while_unavailable(lambda: store.claim((A,)))
        await asyncio.sleep(0.01)
        done[held.job.id] += await retry_while_unavailable(lambda: store.complete(held, RESULT))

    async def sweep() -> None:
        await retry_while_unavailable(api.sweep)
        await asyncio.sleep(0.3)

    async def move() -> None:
        """Move the slot there and back, slowly."""
        for _ in range(2):
            await asyncio.sleep(1.0)
            moving = await asyncio.to_thread(Move, *ends_of(own_cluster))
            while left := await asyncio.to_thread(moving.left):
                await asyncio.to_thread(moving.carry, left[:STEP])
                await asyncio.sleep(0.05)
            await asyncio.to_thread(moving.end)

    loops = [repeat("worker", lambda store=store: work(store)) for store in workers]
    running = [asyncio.create_task(loop) for loop in (*loops, repeat("sweep", sweep))]
    moving, number = asyncio.create_task(move()), 0
    try:
        async with asyncio.timeout(120):
            while not moving.done() or number < JOBS:
                await asyncio.gather(*(put(number + one) for one in range(SHARDS)))
                number += SHARDS
            await moving
            while len(done) < len(accepted):
                await asyncio.sleep(0.1)
    finally:
        await cancel_all(moving, *running)
    assert len(accepted) == len(set(accepted)) == number
    assert done == Counter(accepted)
    for name in accepted:
        assert (await api.summary(name)).status == "succeeded"
    assert (await api.load()).jobs == 0
