"""A store of three shards on a Redis Cluster: whole jobs in each, and what concerns all of them."""

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from redis.crc import key_slot
from store_setup import (
    RESULT,
    WORK,
    A,
    Busy,
    alike,
    bounds,
    claim,
    is_result,
    job,
    nothing_to_claim,
)
from test_fleet import announced
from test_redis_users import documented

from loadtests.redis_cluster import SLOTS, Cluster, Node
from service.errors import (
    InvalidRequest,
    JobCancelled,
    QueueFull,
    RateLimited,
    ServeError,
    StoreUnavailable,
    UnknownJob,
)
from service.jobs import Job
from service.settings import Settings
from service.store import keys
from service.store.base import Claim, Key, Room
from service.store.bounds import Bounds
from service.store.connection import Connected, check_shard, connect_all
from service.store.dead_letters import AllDeadLetters
from service.store.fleet import Fleet
from service.store.opening import open_store
from service.store.quotas import Quotas
from service.store.redis import RedisStore
from service.store.sharded import ShardedStore
from service.store.shards import in_cluster, new_id, shard_of

pytestmark = pytest.mark.anyio

SHARDS = 3
LEASE_S = 0.5
# Longer than any test, so that what is heard is not what was polled.
POLL_S = 600.0
ROOMY = Bounds(100, 100, 60.0, LEASE_S, 2, 10**6)
Make = Callable[..., ShardedStore]


@pytest.fixture
async def shards(cluster: Cluster) -> AsyncIterator[list[Connected]]:
    async with connect_all(cluster.url) as found:
        yield found


@pytest.fixture
async def make(cluster: Cluster) -> AsyncIterator[Make]:
    """Makes stores of processes of their own."""
    async with contextlib.AsyncExitStack() as stack:
        several = [await stack.enter_async_context(connect_all(cluster.url)) for _ in range(4)]

        def make(limits: Bounds = ROOMY, poll_s: float = POLL_S) -> ShardedStore:
            name = f"process {len(several)}"
            store = ShardedStore(
                [
                    RedisStore(client, limits, name, poll_s=poll_s, shard=shard)
                    for client, shard in several.pop()
                ]
            )
            stack.push_async_callback(store.close)
            return store

        yield make


def timely(store: ShardedStore, key: Key | None = None, **more: object) -> Job:
    """A job with an id of the store, whose deadline is not over."""
    return replace(job(store.new_id(key)), deadline=time.time() + 600, **more)


async def put(store: ShardedStore, count: int, **more: object) -> list[str]:
    return [await store.put(timely(store, **more)) for _ in range(count)]


def places(names: list[str]) -> Counter[int]:
    return Counter(shard_of(name, SHARDS) for name in names)


@pytest.mark.parametrize(
    ("count", "primaries"), [(1, 1), (3, 3), (6, 2), (6, 3), (12, 3), (12, 4), (60, 5), (64, 8)]
)
def test_primaries_with_equal_ranges_have_equally_many_shards(count: int, primaries: int) -> None:
    ends = [round(SLOTS * number / primaries) for number in range(primaries + 1)]
    slots = [key_slot(shard.name(keys.JOB + "j").encode()) for shard in in_cluster(count)]
    held = [sum(first <= slot < end for slot in slots) for first, end in pairwise(ends)]
    assert held == [count // primaries] * primaries
    assert len({shard.tag for shard in in_cluster(count)}) == count


def test_names_without_a_tag_are_as_before() -> None:
    assert keys.JOB == "mulan:job:"
    (one, *_) = in_cluster(3)
    assert one.name("mulan:job:mulan:x") == "mulan:{0}:job:mulan:x"
    assert one.name("workers") == "workers"


async def test_jobs_of_every_kind_in_every_shard(make: Make, cluster: Cluster) -> None:
    api, worker = make(), make()
    for task, outcome in WORK.values():
        names = [
            await api.put(timely(api, task=task, cost=10**3), attended=True) for _ in range(SHARDS)
        ]
        assert places(names) == {0: 1, 1: 1, 2: 1}
        for _ in names:
            held = await claim(worker)
            assert alike(held.job.task, task)
            await worker.report(held, 0.5)
            assert (await api.summary(held.job.id)).progress == 0.5
            assert await worker.complete(held, outcome)
        for name in names:
            assert alike((await asyncio.wait_for(api.wait(name), 5)).outcome, outcome)
    for node in cluster.nodes:
        with node.client() as client:
            assert any(b":job:" in key for key in client.scan_iter())


async def test_a_worker_is_woken_by_each_shard(make: Make) -> None:
    api, worker = make(), make()
    for number in range(2 * SHARDS):
        claiming = asyncio.ensure_future(worker.claim((A,)))
        await asyncio.sleep(0.2)
        name = await api.put(timely(api))
        held = await asyncio.wait_for(claiming, 5)
        assert held.job.id == name, number
        await worker.complete(held, RESULT)


async def test_shards_take_turns(make: Make) -> None:
    api, worker = make(), make()
    # Every shard is listened to before there are jobs.
    assert await nothing_to_claim(worker)
    await asyncio.sleep(1.0)
    await put(api, 4 * SHARDS)
    taken = [(await claim(worker)).job.id for _ in range(4 * SHARDS)]
    assert all(places(taken[i : i + SHARDS]) == {0: 1, 1: 1, 2: 1} for i in range(0, 12, SHARDS))


class _Full(Room):
    """One more job fills it."""

    @property
    def full(self) -> bool:
        return True


async def test_a_full_worker_is_woken_by_no_shard(make: Make) -> None:
    api, full, other = make(), make(), make()
    claiming = asyncio.ensure_future(full.claim((A,), _Full()))
    await asyncio.sleep(0.3)
    (first,) = await put(api, 1)
    assert (await asyncio.wait_for(claiming, 5)).job.id == first
    waiting = asyncio.ensure_future(other.claim((A,), Busy(5)))
    await asyncio.sleep(0.3)
    # Among those that listen, the full one would be woken first.
    for _ in range(SHARDS):
        (name,) = await put(api, 1)
        held = await asyncio.wait_for(waiting, 5)
        assert held.job.id == name
        waiting = asyncio.ensure_future(other.claim((A,), Busy(5)))
        await asyncio.sleep(0.1)
    waiting.cancel()


async def test_a_cancelled_claim_leaves_the_jobs_to_others(make: Make) -> None:
    api, first, second = make(), make(), make()
    claiming = asyncio.ensure_future(first.claim((A,)))
    await asyncio.sleep(0.3)
    claiming.cancel()
    await asyncio.gather(claiming, return_exceptions=True)
    other = asyncio.ensure_future(second.claim((A,), Busy(5)))
    await asyncio.sleep(0.3)
    (name,) = await put(api, 1)
    assert (await asyncio.wait_for(other, 5)).job.id == name


async def test_a_dead_workers_jobs_are_taken_over_in_all_shards(make: Make) -> None:
    api, dead, living = make(), make(), make(poll_s=0.1)
    names = await put(api, 2 * SHARDS)
    lost = [await claim(dead) for _ in names]
    await dead.close()
    found = []
    async with asyncio.timeout(30):
        claiming = asyncio.ensure_future(living.claim((A,)))
        while len(found) < len(names):
            await living.renew(found)
            await living.sweep()
            await asyncio.sleep(LEASE_S / 8)
            if claiming.done():
                found.append(claiming.result())
                claiming = asyncio.ensure_future(living.claim((A,)))
        claiming.cancel()
    assert {held.job.id for held in found} == set(names)
    assert {held.company for held in found} == {8}
    assert sorted(held.job.id for held in await dead.renew(lost)) == sorted(names)
    assert all([await living.complete(held, RESULT) for held in found])
    assert not any([await dead.complete(held, RESULT) for held in lost])


async def test_cancellations_of_all_shards_are_heard(make: Make) -> None:
    api, worker = make(), make()
    heard = worker.cancellations()
    names = await put(api, SHARDS)
    for _ in names:
        await claim(worker)
    for name in names:
        await api.cancel(name)
        assert await asyncio.wait_for(anext(heard), 5) == name
        assert isinstance((await api.record(name)).outcome, JobCancelled)
    with pytest.raises(UnknownJob):
        await api.cancel("unknown")


async def test_a_key_is_found_by_every_process(make: Make) -> None:
    one, other = make(), make()
    for number in range(9):
        key = Key(f"scope {number}", "digest")
        first, second = timely(one, key), timely(other, key)
        assert await one.put(first, key, attended=True) == first.id
        assert await other.put(second, key, attended=True) == first.id
        assert await other.knows(key)
        with pytest.raises(InvalidRequest):
            await other.knows(key._replace(digest="another"))
        await one.leave(first.id, first.id)
        assert (await one.summary(first.id)).status == "queued"
        await other.leave(first.id, second.id)
        with pytest.raises(UnknownJob):
            await one.summary(first.id)
    wrong = new_id(time.time(), (shard_of("scope", SHARDS) + 1) % SHARDS, SHARDS)
    with pytest.raises(ValueError, match="different shards"):
        await one.put(job(wrong), Key("scope", "digest"))


async def test_a_list_has_the_jobs_of_all_shards_in_order(make: Make) -> None:
    store = make()
    names = []
    for number in range(20):
        names += await put(store, 1, owner="even" if number % 2 == 0 else "odd")
    await store.cancel(names[4])

    async def listed(owner: str | None, status: str | None, limit: int) -> list[str]:
        found, before = [], None
        while True:
            page = await store.jobs(owner, status, limit, before)
            assert len(page.jobs) <= limit
            found += [one.id for one in page.jobs]
            if (before := page.before) is None:
                return found

    for limit in (1, 3, 7, 100):
        assert await listed(None, None, limit) == names[::-1]
        assert await listed("even", None, limit) == names[18::-2]
        assert await listed(None, "cancelled", limit) == [names[4]]
        assert await listed("nobody", None, limit) == []


async def test_bounds_hold_in_each_shard(make: Make) -> None:
    limits = bounds().divided(SHARDS)
    assert (limits.capacity, limits.capacity_cost, limits.retained) == (2, 334, 1)
    store = make(limits)
    names = await put(store, 2 * SHARDS - 1)
    await store.check_capacity("", 1)
    names += await put(store, 1)
    assert places(names) == {0: 2, 1: 2, 2: 2}
    with pytest.raises(QueueFull):
        await store.check_capacity("", 1)
    for _ in range(SHARDS):
        with pytest.raises(QueueFull, match="2 jobs wait"):
            await store.put(timely(store))
    # In each shard an owner has a share.
    assert places(await put(store, SHARDS, owner="another")) == {0: 1, 1: 1, 2: 1}
    assert (await store.load()).jobs == 3 * SHARDS


async def test_loads_dead_letters_and_calls_of_all_shards(
    make: Make, shards: list[Connected]
) -> None:
    store = make(replace(ROOMY, most_crashes=1), poll_s=0.1)
    names = await put(store, SHARDS, cost=7, callback_url="https://h/")
    assert (await store.load()).cost == 21
    assert await store.has_jobs(A)
    assert not await store.has_jobs("b" * 64)
    # Each dies alone in its shard, and again when it was to be alone.
    async with asyncio.timeout(30):
        while (await store.load()).dead_letters < SHARDS:
            if (await store.load()).jobs:
                await store.claim((A,))
            await store.sweep()
            await asyncio.sleep(LEASE_S / 8)
    letters = AllDeadLetters(shards)
    assert {letter.id for letter in await letters.all()} == set(names)
    assert (await store.load()).dead_letters == SHARDS
    called = {call.job.id for call in [await store.callbacks.take(60.0) for _ in names] if call}
    assert called == set(names)
    assert await store.callbacks.take(60.0) is None
    await letters.retry(names[0], 100.0)
    assert (await store.summary(names[0])).status == "queued"
    await letters.drop(names[1])
    assert [letter.id for letter in await letters.all()] == names[2:]
    with pytest.raises(UnknownJob):
        await letters.drop("unknown")


async def test_workers_announce_themselves_in_all_shards(shards: list[Connected]) -> None:
    (first, shard), *others = shards
    fleet, another = (Fleet(first, shard=shard, others=others) for _ in range(2))
    model = announced("tiny")
    for number in range(12):
        await fleet.announce(f"worker {number}", 0.0, [model])
    assert await another.names() == {f"worker {number}" for number in range(12)}
    assert await another.models() == [model]
    assert another.workers == {"tiny": 12}
    for client, one in shards:
        assert 0 < await client.zcard(one.name(keys.WORKERS)) < 12
    await fleet.retire("worker 3")
    assert "worker 3" not in await another.names()


async def test_what_is_watched_advances(make: Make) -> None:
    api, worker = make(), make()
    for _ in range(SHARDS):
        (name,) = await put(api, 1)
        news = api.watch(name, None)
        await anext(news)
        held = await claim(worker)
        await worker.report(held, 0.3, b"png")
        assert (await asyncio.wait_for(anext(news), 5)).progress == 0.3  # type: ignore[union-attr]
        await news.aclose()


async def test_quotas_count_in_all_shards(shards: list[Connected]) -> None:
    one, other = (Quotas(Settings(request_rate="3/hour"), shards) for _ in range(2))
    for owner in ("a", "b", "c", "d"):
        for quotas in (one, other, one):
            await quotas.admit(owner)
        with pytest.raises(RateLimited):
            await other.admit(owner)


async def test_another_number_of_shards_is_refused(cluster: Cluster) -> None:
    settings = Settings(store=cluster.url)
    async with open_store(settings) as (_, shared):
        assert shared is not None
        await shared.wait_until_reachable()
        await shared.wait_until_reachable()
        assert shared.address.startswith("redis+cluster://127.0.0.1:")
        assert len(shared.shards) == SHARDS
    async with connect_all(cluster.url.replace("shards=3", "shards=6")) as shards:
        with pytest.raises(ServeError, match=r"names 6 shards.* jobs of shard 0 of 3"):
            await check_shard(shards[0])


async def test_plain_servers_are_shards_in_their_order(tmp_path: Path) -> None:
    nodes = [Node(tmp_path / str(number), "--save", "") for number in range(2)]
    try:
        for node in nodes:
            node.start()
        hosts = [f"127.0.0.1:{node.port}" for node in nodes]
        async with open_store(Settings(store=f"redis://{','.join(hosts)}/0")) as (store, shared):
            assert shared is not None
            await shared.wait_until_reachable()
            for _ in range(4):
                await store.put(timely(store))  # type: ignore[arg-type]
            for _ in range(4):
                assert await store.complete(await asyncio.wait_for(store.claim((A,)), 5), RESULT)
            # One that is away keeps nobody from the other's jobs.
            nodes[1].stop()
            with pytest.raises(StoreUnavailable):
                await store.sweep()
            done = 0
            for _ in range(4):
                with contextlib.suppress(StoreUnavailable):
                    name = await store.put(timely(store))  # type: ignore[arg-type]
                    held = await asyncio.wait_for(store.claim((A,)), 10)
                    assert held.job.id == name
                    done += await store.complete(held, RESULT)
            assert done >= 3
            nodes[1].start()
            async with asyncio.timeout(20):
                while True:
                    with contextlib.suppress(StoreUnavailable):
                        await store.sweep()
                        break
            assert is_result((await store.record(name)).outcome)
        swapped = f"redis://{','.join(reversed(hosts))}/0"
        async with connect_all(swapped) as shards:
            with pytest.raises(ServeError, match="jobs of shard 0 of 2"):
                await check_shard(shards[1])
    finally:
        for node in nodes:
            node.stop()


async def test_a_user_of_a_cluster_needs_one_right_more(cluster: Cluster) -> None:
    page = Path(__file__).parents[3] / "docs/redis-cluster.md"
    found = re.search(r"`(\+cluster\S+)`", page.read_text())
    assert found is not None
    rights = documented().split()
    # As in test_redis_users: Redis 6.2 has no rights for some subcommands.
    rights = [word.split("|")[0] if "client|" in word else word for word in rights]
    for node in cluster.nodes:
        with node.client() as client:
            client.execute_command("ACL", "SETUSER", "mulan", "reset", *rights, found[1])
    url = cluster.url.replace("redis+cluster://", "redis+cluster://mulan:secret@")
    async with open_store(Settings(store=url)) as (store, shared):
        assert isinstance(store, ShardedStore)
        assert shared is not None
        await shared.wait_until_reachable()
        names = await put(store, SHARDS)
        for _ in names:
            held = await claim(store)
            await store.report(held, 0.5)
            assert await store.complete(held, RESULT)
        await store.sweep()
        assert "secret" not in shared.address
        assert await shared.fleet.names() == set()
        await Quotas(Settings(request_rate="1/minute"), shared.shards).admit("somebody")
    for node in cluster.nodes:
        with node.client() as client:
            client.execute_command("ACL", "DELUSER", "mulan")


async def test_every_lost_claim_is_told_where_shards_are_renewed_at_once(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make()
    claims = [Claim(job(new_id(1_000.0, part, SHARDS)), 1) for part in range(SHARDS)]
    answers = [asyncio.Event() for _ in claims]

    def losing(answer: asyncio.Event) -> Callable[[list[Claim]], Awaitable[list[Claim]]]:
        async def renew(held: list[Claim]) -> list[Claim]:
            await answer.wait()
            return held

        return renew

    for shard, answer in zip(store.shards, answers, strict=True):
        monkeypatch.setattr(shard, "renew", losing(answer))

    async def begun(claim: Claim) -> asyncio.Task[list[Claim]]:
        task = asyncio.create_task(store.renew([claim]))
        for _ in range(10):
            await asyncio.sleep(0)
        return task

    first, second = await begun(claims[0]), await begun(claims[1])
    answers[1].set()
    told = [*await second]
    third = await begun(claims[2])
    answers[0].set()
    answers[2].set()
    told += await first + await third
    assert {claim.job.id for claim in told} == {claim.job.id for claim in claims}
