"""Jobs of dead workers are taken over in halves, and those that nobody waits for are dropped."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from redis.asyncio import Redis
from redis_server import RedisServer
from store_setup import POLL_S, RESULT, A, Busy, FakeClock, claim, job

from service.errors import JobLost, UnknownJob
from service.store import keys
from service.store.base import Key
from service.store.bounds import Bounds
from service.store.connection import connect
from service.store.ids import made_at, new_id
from service.store.redis import RedisStore

pytestmark = pytest.mark.anyio

LEASE_S = 0.4
MANY = Bounds(200, 200, 60.0, LEASE_S, most_crashes=2)
MakeStore = Callable[[], RedisStore]


@pytest.fixture
async def make(server: RedisServer, clock: FakeClock) -> AsyncIterator[MakeStore]:
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(server.url)) for _ in range(12)]

        def make(limits: Bounds = MANY) -> RedisStore:
            store = RedisStore(clients.pop(), limits, clock=clock, poll_s=POLL_S)
            stack.push_async_callback(store.close)
            return store

        yield make


@pytest.fixture
async def client(server: RedisServer) -> AsyncIterator[Redis]:
    async with connect(server.url) as client:
        yield client


class Last(Busy):
    """One more job fills it."""

    @property
    def full(self) -> bool:
        return True


async def until_gone(store: RedisStore, *names: str) -> None:
    """Sweep, as an API does, until none of these jobs runs."""
    async with asyncio.timeout(20):
        while any([(await store.record(name)).status == "running" for name in names]):
            await store.sweep()
            await asyncio.sleep(LEASE_S / 8)


async def test_a_job_that_kills_is_alone_after_six_deaths(make: MakeStore) -> None:
    """Each time a worker takes as many as it may, the culprit among them, and dies."""
    # All leases of a worker are to end between two claims, however slow the machine.
    patient = replace(MANY, lease_s=1.0)
    store = make(patient)
    for number in range(64):
        await store.put(job(f"j{number}"))
    companies: list[int | None] = []
    while (await store.record("j0")).status == "queued":
        worker, room = make(patient), Busy(0)
        culprit = await worker.claim((A,), room)
        assert culprit.job.id == "j0"
        companies.append(culprit.company)
        for room.jobs in range(1, culprit.company or 64):
            await worker.claim((A,), room)
        await asyncio.sleep(patient.lease_s)
        await until_gone(store, "j0")
    # Deaths alone count, and the second is the last.
    assert (await store.record("j0")).status == "failed"
    assert companies == [None, 32, 16, 8, 4, 2, 1, 1]
    # Half of the first 32 were not there again, and so on: one was alone without need.
    rest = [await store.claim((A,), Busy(0)) for _ in range(63)]
    counts = Counter(one.company for one in rest)
    assert counts == {32: 32, 16: 16, 8: 8, 4: 4, 2: 2, 1: 1}


async def test_a_suspect_is_kept_for_one_worker_that_makes_room(make: MakeStore) -> None:
    dead, busy, other = make(), make(), make()
    await dead.put(job("suspect"))
    await claim(dead)
    await until_gone(busy, "suspect")
    await busy.put(job("fresh"))
    patient = Busy(2, patience=10.0)
    claiming = asyncio.ensure_future(busy.claim((A,), patient))
    async with asyncio.timeout(5):
        while not patient.wanted:
            await asyncio.sleep(0.01)
    # It is kept for that worker, and the other takes what it has room for.
    impatient = Busy(2, patience=10.0)
    assert (await asyncio.wait_for(other.claim((A,), impatient), 5)).job.id == "fresh"
    assert not impatient.wanted
    patient.jobs = 0
    taken = await asyncio.wait_for(claiming, 5)
    assert (taken.job.id, taken.company) == ("suspect", 1)


async def test_suspects_and_fresh_work_take_turns(make: MakeStore) -> None:
    dead, store = make(), make()
    old = [f"old {number}" for number in range(8)]
    for name in old:
        await dead.put(job(name))
    for _ in old:
        await claim(dead)
    await until_gone(store, *old)
    for number in range(8):
        await store.put(job(f"new {number}"))
    room = Busy(0)
    first = [(await store.claim((A,), room)).job.id.split()[0] for _ in range(8)]
    assert first.count("new") >= 3
    assert first.count("old") >= 3


async def test_a_claim_whose_answer_was_lost_is_no_death_of_others(make: MakeStore) -> None:
    store, worker = make(), make()
    for name in ("known", "lost"):
        await store.put(job(name))
    known = await claim(worker)
    await claim(worker)
    async with asyncio.timeout(20):
        while (await store.record("lost")).status == "running":
            assert await worker.renew([known]) == []
            await store.sweep()
            await asyncio.sleep(LEASE_S / 8)
    assert (await store.record("known")).status == "running"
    # It was held by a worker that lives, and may run beside many others.
    assert (await store.claim((A,), Busy(20))).company == 32


async def test_claims_of_before_a_dead_workers_last_are_deaths_too(
    make: MakeStore, client: Redis
) -> None:
    """They are older than its silence, so that they run out while it does not count as dead yet."""
    store, worker = make(), make()
    async with asyncio.timeout(20):
        await store.sweep()
        # Until then all leases begin anew.
        while await client.exists(keys.GRACE):
            await store.sweep()
            await asyncio.sleep(LEASE_S / 16)
    for name in ("first", "last"):
        await store.put(job(name))
    for _ in range(2):
        await claim(worker)
    stream = f"{keys.QUEUE}{A}:0"
    first, _ = await client.xpending_range(stream, keys.GROUP, "-", "+", 2)
    a_third = round(1000 * LEASE_S / 3)
    await client.xclaim(
        stream, keys.GROUP, first["consumer"], 0, [first["message_id"]], idle=a_third, justid=True
    )
    await until_gone(store, "first", "last")
    assert [(await store.claim((A,), Busy(0))).company for _ in range(2)] == [8, 8]


async def test_a_job_whose_process_died_is_dropped(make: MakeStore, client: Redis) -> None:
    dead, living, worker = make(), make(), make()
    for name in ("orphan", "shared", "unattended"):
        await dead.put(job(name), key=Key(name, "d"), attended=name != "unattended")
    assert await living.put(job("late"), key=Key("shared", "d"), attended=True) == "shared"
    heard = worker.cancellations()
    held = [await claim(worker) for _ in range(3)]
    await dead.close()
    async with asyncio.timeout(20):
        while await client.exists(keys.JOB + "orphan"):
            assert await worker.renew(held) == []
            await living.sweep()
            await asyncio.sleep(LEASE_S / 8)
    assert await asyncio.wait_for(anext(heard), 5) == "orphan"
    await asyncio.sleep(2 * LEASE_S)
    await worker.renew(held[1:])
    await living.sweep()
    for name in ("shared", "unattended"):
        assert (await living.record(name)).status == "running"
    await living.leave("shared", "late")


async def test_a_job_of_before_a_loss_is_lost_and_another_unknown(
    make: MakeStore, client: Redis, clock: FakeClock, server: RedisServer
) -> None:
    store = make()
    clock.now, _ = await client.time()
    before = new_id(clock.now)
    assert made_at(before) == clock.now
    assert made_at("j") is None
    await store.put(job(before, deadline=clock.now + 100))
    server.flush()
    clock.now += 10
    with pytest.raises(JobLost, match="send it again"):
        await store.summary(before)
    await client.set(keys.BORN, int(1000 * (clock.now - 5)))
    after = new_id(clock.now - 1)
    for call in (store.summary, store.record, store.wait, store.cancel):
        with pytest.raises(JobLost):
            await call(before)
        with pytest.raises(UnknownJob) as unknown:
            await call(after)
        assert not isinstance(unknown.value, JobLost)


async def test_an_arrival_wakes_one_worker(make: MakeStore, client: Redis) -> None:
    store, workers = make(), [make() for _ in range(4)]
    waiting = [
        asyncio.ensure_future(worker.claim((A,), Last(number)))
        for number, worker in enumerate(workers)
    ]
    listeners = keys.LISTENERS + A
    async with asyncio.timeout(5):
        while await client.zcard(listeners) < len(workers):
            await asyncio.sleep(0.01)
    await client.config_resetstat()
    await store.put(job("j"))
    # The one that holds least.
    assert (await asyncio.wait_for(waiting[0], 5)).job.id == "j"
    asked = (await client.info("commandstats"))["cmdstat_evalsha"]["calls"]
    assert asked == 2
    # One that does not hear it is passed over, and one that does not come is followed by another.
    await client.zadd(listeners, {"nobody": -1})
    await store.put(job("k"))
    assert (await asyncio.wait_for(waiting[1], 5)).job.id == "k"
    await client.zpopmin(listeners)
    waiting[2].cancel()
    await asyncio.wait(waiting[2:3])
    await store.put(job("l"))
    await store.sweep()
    assert (await asyncio.wait_for(waiting[3], 5)).job.id == "l"
    assert await store.complete(await waiting[3], RESULT)
