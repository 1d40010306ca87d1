"""A replica takes over, in a Redis Cluster and under Sentinels; scripts are lost."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from store_setup import RESULT, A, is_result, job

from loadtests.redis_cluster import Cluster, Node, Watched
from service.errors import JobLost, StoreUnavailable, UnknownJob
from service.jobs import Job
from service.settings import Settings
from service.store import keys
from service.store.base import Claim, Store
from service.store.opening import Shared, open_store
from service.store.quotas import Quotas
from service.store.redis import RedisStore
from service.store.retry import retry_while_unavailable
from service.store.sharded import ShardedStore
from service.store.shards import in_cluster, new_id, shard_of

pytestmark = pytest.mark.anyio

T = TypeVar("T")
SHARDS, LEASE_S = 3, 4.0
# The second shard, whose primary goes.
GONE = in_cluster(SHARDS)[1]
KEY = GONE.name(keys.NOTHING)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def replicated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three primaries and three replicas."""
    with Cluster(tmp_path_factory.mktemp("replicated"), replicas=1) as cluster:
        yield cluster


@pytest.fixture
async def store(replicated: Cluster) -> AsyncIterator[ShardedStore]:
    """An empty store, of one process."""
    replicated.flush()
    async with open_store(Settings(store=replicated.url, lease_s=LEASE_S)) as (store, shared):
        assert isinstance(store, ShardedStore)
        assert isinstance(shared, Shared)
        await shared.wait_until_reachable()
        yield store


def timely(store: Store) -> Job:
    return replace(job(store.new_id()), deadline=time.time() + 600)


def within(seconds: float, act: Callable[[], Awaitable[T]]) -> Awaitable[T]:
    """What becomes of something that is repeated while the store is away."""
    return asyncio.wait_for(retry_while_unavailable(act), seconds)


async def one_in(store: ShardedStore, shard: int) -> str:
    """Queue a job in a shard, and return its id."""
    made = replace(timely(store), id=new_id(time.time(), shard, SHARDS))
    return await store.put(made, attended=True)


async def swept(store: Store) -> None:
    """Sweep for as long as this runs, as an API does."""
    while True:
        with contextlib.suppress(StoreUnavailable):
            await store.sweep()
        await asyncio.sleep(0.5)


async def renewed(store: Store, claim: Claim) -> None:
    """Renew a lease for as long as this runs, as a worker does."""
    while True:
        with contextlib.suppress(StoreUnavailable):
            await store.renew([claim])
        await asyncio.sleep(LEASE_S / 10)


async def replicates(node: Node) -> None:
    """Wait until a server that is back follows the primary, and is up to date."""

    def is_linked() -> bool:
        with contextlib.suppress(Exception), node.client() as client:
            facts = client.info("replication")
            return facts["role"] == "slave" and facts["master_link_status"] == "up"
        return False

    async with asyncio.timeout(30):
        while not is_linked():
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_a_replica_takes_over(replicated: Cluster, store: ShardedStore, how: str) -> None:
    waiting, kept = [await one_in(store, GONE.number) for _ in range(2)]
    claimed = await asyncio.wait_for(store.claim((A,)), 5)
    asking = asyncio.ensure_future(store.wait(waiting))
    sweeping = asyncio.ensure_future(swept(store))
    renewing = asyncio.ensure_future(renewed(store, claimed))
    old = replicated.owner(KEY)
    await asyncio.sleep(0.3)
    old.stop() if how == "killed" else old.signal(signal.SIGSTOP)
    # The others go on meanwhile: a job that is put now is given to one of them.
    began, done = time.monotonic(), 0
    while time.monotonic() - began < 3.0:
        with contextlib.suppress(StoreUnavailable):
            name = await store.put(timely(store))
            assert shard_of(name, SHARDS) != GONE.number
            held = await asyncio.wait_for(store.claim((A,)), 10)
            done += await store.complete(held, RESULT)
    # Nothing but time tells of a frozen one.
    assert done > (10 if how == "killed" else 0)
    assert await within(30, lambda: store.renew([claimed])) == []
    renewing.cancel()
    assert await within(30, lambda: store.complete(claimed, RESULT))
    last = await within(30, lambda: store.claim((A,)))
    assert {claimed.job.id, last.job.id} == {waiting, kept}
    await store.complete(last, RESULT)
    assert is_result((await asyncio.wait_for(asking, 10)).outcome)
    assert replicated.owner(KEY).port != old.port
    # What is told on the new primary is heard.
    claiming = asyncio.ensure_future(store.claim((A,)))
    await asyncio.sleep(0.3)
    name = await within(30, lambda: one_in(store, GONE.number))
    assert (await asyncio.wait_for(claiming, 10)).job.id == name
    old.start() if how == "killed" else old.signal(signal.SIGCONT)
    await replicates(old)
    await store.summary(name)
    sweeping.cancel()


async def test_a_job_that_the_replica_does_not_know_is_told_to_be_lost(
    replicated: Cluster, store: ShardedStore
) -> None:
    sweeping = asyncio.ensure_future(swept(store))
    await asyncio.sleep(0.5)
    before = await one_in(store, GONE.number)
    await store.leave(before, before)
    await asyncio.sleep(3.0)
    old = replicated.owner(KEY)
    with old.client() as client:
        facts: Any = client.info("replication")["slave0"]
        (replica,) = [node for node in replicated.nodes if node.port == int(facts["port"])]
        await asyncio.sleep(1.0)
        # The replica is not told of the last job.
        replica.signal(signal.SIGSTOP)
        client.execute_command("CLIENT KILL TYPE replica")
    lost = await one_in(store, GONE.number)
    waiting = asyncio.ensure_future(store.wait(lost))
    await asyncio.sleep(0.2)
    old.stop()
    replica.signal(signal.SIGCONT)
    with pytest.raises(UnknownJob):
        await asyncio.wait_for(waiting, 40)
    with pytest.raises(JobLost, match="send it again"):
        await within(10, lambda: store.summary(lost))
    # Of one that went before, and of one made later, nothing was lost.
    with pytest.raises(UnknownJob) as unknown:
        await store.summary(before)
    assert not isinstance(unknown.value, JobLost)
    await asyncio.sleep(1.0)
    after = new_id(time.time(), GONE.number, SHARDS)
    with pytest.raises(UnknownJob) as unknown:
        await store.summary(after)
    assert not isinstance(unknown.value, JobLost)
    old.start()
    await replicates(old)
    sweeping.cancel()


async def test_scripts_that_a_server_has_not_are_sent_again(
    replicated: Cluster, store: ShardedStore
) -> None:
    name = await one_in(store, GONE.number)
    for node in replicated.nodes:
        with node.client() as client:
            client.script_flush()
    assert (await store.summary(name)).status == "queued"
    held = await asyncio.wait_for(store.claim((A,)), 5)
    assert await store.complete(held, RESULT)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with Watched(tmp_path) as servers:
        yield servers


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_sentinels_replace_a_primary(watched: Watched, how: str) -> None:
    async with open_store(Settings(store=watched.url, lease_s=LEASE_S)) as (store, shared):
        assert isinstance(store, RedisStore)
        assert shared is not None
        await shared.wait_until_reachable()
        assert shared.address.endswith("/queue")
        names = [await store.put(timely(store)) for _ in range(3)]
        held = await asyncio.wait_for(store.claim((A,)), 5)
        asking = asyncio.ensure_future(store.wait(names[0]))
        await asyncio.sleep(0.5)
        old = watched.primary
        old.stop() if how == "killed" else old.signal(signal.SIGSTOP)
        with pytest.raises(StoreUnavailable):
            await store.summary(names[0])
        assert await within(40, lambda: store.complete(held, RESULT))
        for _ in names[1:]:
            held = await within(20, lambda: store.claim((A,)))
            assert await store.complete(held, RESULT)
        assert is_result((await asyncio.wait_for(asking, 10)).outcome)
        if how == "frozen":
            # It believes to be the primary until a Sentinel tells it otherwise.
            old.signal(signal.SIGCONT)
            await replicates(old)
            await store.put(timely(store))
            claiming: Any = asyncio.ensure_future(store.claim((A,)))
            assert await store.complete(await asyncio.wait_for(claiming, 10), RESULT)


async def test_a_replica_that_is_taken_for_the_primary_refuses(watched: Watched) -> None:
    """As for a moment after it was replaced: its refusal stands within a script's error."""
    async with open_store(Settings(store=watched.url)) as (store, shared):
        assert isinstance(store, RedisStore)
        assert shared is not None
        await store.put(timely(store))
        quotas = Quotas(Settings(request_rate="9/minute", cost_rate="9/minute"), shared.shards)
        route = store.client.connection_pool.connection_kwargs["route"]
        right = await route.primary()
        for act in (
            lambda: store.put(timely(store)),
            lambda: quotas.admit("somebody"),
            lambda: quotas.charge("somebody", 1),
        ):
            route.known = ("127.0.0.1", watched.replica.port)
            await store.client.connection_pool.disconnect()
            await act()
            assert route.known == right
        assert (await store.load()).jobs == 2
