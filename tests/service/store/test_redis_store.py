"""What only a store shared by processes must hold: leases, takeovers, outages."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest
from redis.asyncio import Redis
from redis_server import RedisServer
from store_setup import (
    CAPACITY,
    POLL_S,
    RESULT,
    A,
    B,
    Busy,
    FakeClock,
    bounds,
    claim,
    is_result,
    job,
)

from service.errors import ComputationFailed, QueueFull, StoreUnavailable, UnknownJob
from service.store import keys
from service.store.base import Claim
from service.store.connection import connect
from service.store.dead_letters import DeadLetters
from service.store.fleet import Fleet
from service.store.redis import Bounds, RedisStore
from service.store.wire import decode_job, decode_outcome

pytestmark = pytest.mark.anyio

LEASE_S = 0.3
MakeStore = Callable[..., RedisStore]


@pytest.fixture
async def client(server: RedisServer) -> AsyncIterator[Redis]:
    async with connect(server.url) as client:
        yield client


@pytest.fixture
async def make(server: RedisServer, clock: FakeClock) -> AsyncIterator[MakeStore]:
    """Makes stores as separate processes have them."""
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(server.url)) for _ in range(4)]

        def make(limits: Bounds | None = None, poll_s: float = POLL_S) -> RedisStore:
            limits = limits or bounds(LEASE_S)
            store = RedisStore(clients.pop(), limits, clock=clock, poll_s=poll_s)
            stack.push_async_callback(store.close)
            return store

        yield make


async def taken_back(store: RedisStore, name: str) -> None:
    """Sweep as workers do, until a job that nobody renews is out of its holder's hands."""
    async with asyncio.timeout(20):
        while (await store.record(name)).status == "running":
            await store.sweep()
            await asyncio.sleep(LEASE_S / 4)


async def test_a_silent_workers_job_goes_to_the_next(make: MakeStore) -> None:
    first, second = make(), make()
    await first.put(job("j"))
    stalled = await claim(first)
    await first.report(stalled, 0.5)
    await taken_back(second, "j")
    record = await second.record("j")
    assert (record.status, record.progress, record.started_at) == ("queued", 0.0, None)
    taken = await claim(second)
    assert taken.epoch > stalled.epoch
    assert taken.company == 1
    assert await first.renew([stalled]) == [stalled]
    assert not await first.complete(stalled, ComputationFailed("late"))
    assert await second.complete(taken, RESULT)
    assert not await first.complete(stalled, ComputationFailed("later"))
    assert is_result((await first.record("j")).outcome)


async def test_a_lease_that_is_renewed_is_kept(make: MakeStore) -> None:
    first, second = make(bounds(1.0)), make(bounds(1.0))
    await first.put(job("j"))
    held = await claim(first)
    end = time.monotonic() + 3.0
    while time.monotonic() < end:
        assert await first.renew([held]) == []
        await second.sweep()
        await asyncio.sleep(0.05)
    assert (await second.record("j")).status == "running"
    assert await first.complete(held, RESULT)


async def test_a_job_taken_back_keeps_its_place(make: MakeStore) -> None:
    store = make()
    for name in ("first", "second"):
        await store.put(job(name))
    await claim(store)
    await taken_back(store, "first")
    assert (await claim(store)).job.id == "first"
    assert (await claim(store)).company is None


async def test_a_suspect_is_left_to_whoever_may_run_it_alone(make: MakeStore) -> None:
    busy, idle = make(poll_s=0.05), make()
    await busy.put(job("suspect"))
    await claim(busy)
    await taken_back(busy, "suspect")
    await busy.put(job("other"))
    room = Busy()
    assert (await busy.claim((A,), room)).job.id == "other"
    waiting = asyncio.ensure_future(busy.claim((A,), room))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    taken = await claim(idle)
    assert (taken.job.id, taken.company) == ("suspect", 1)
    await idle.release(taken)
    await asyncio.sleep(0.2)
    assert not waiting.done()
    room.jobs = 0
    assert (await asyncio.wait_for(waiting, 5)).company == 1


async def test_a_dead_letter_that_is_tried_again_is_left_to_whoever_may_run_it_alone(
    make: MakeStore, client: Redis, clock: FakeClock
) -> None:
    store = make(bounds(LEASE_S, most_crashes=1))
    await store.put(job("letter"))
    await claim(store)
    await taken_back(store, "letter")
    await store.report(await claim(store), 0.0)
    await taken_back(store, "letter")
    await DeadLetters(client, clock).retry("letter", 100.0)
    await store.put(job("other"))
    assert (await store.claim((A,), Busy())).job.id == "other"
    assert (await claim(store)).company == 1
    await store.cancel("letter")
    await store.cancel("other")
    assert not await client.keys(keys.SUSPECTS + "*")


async def test_only_crashes_alone_lead_to_dead_letters(make: MakeStore, client: Redis) -> None:
    store = make(bounds(LEASE_S, most_crashes=2))
    await store.put(job("j"))
    # The first time it was alone by chance. Then deaths count, reported on or not.
    for company in (None, 1, 1):
        assert (await store.record("j")).status == "queued"
        held = await claim(store)
        assert held.company == company
        if company is None:
            await store.report(held, 0.5)
        await taken_back(store, "j")
    record = await store.wait("j")
    assert record.status == "failed"
    assert isinstance(record.outcome, ComputationFailed)
    assert "2 workers died" in record.outcome.detail
    assert await client.zrange(keys.DEAD_LETTERS, 0, -1) == [b"j"]
    letter = await client.hgetall(keys.DEAD_LETTER + "j")
    assert decode_job(letter[b"task"]) == job("j")
    assert "2 workers died" in str(decode_outcome(letter[b"reason"]))
    assert await client.exists(keys.QUEUE + f"{A}:0") == 0


@pytest.mark.parametrize("leases", [0.6, 0.9, 1.5])
async def test_after_an_outage_every_worker_has_a_lease_to_come_back(
    make: MakeStore, client: Redis, leases: float
) -> None:
    store = make()
    await store.put(job("j"))
    held = await claim(store)
    await asyncio.sleep(2 * LEASE_S)
    seconds, microseconds = await client.time()
    ago = seconds + microseconds / 1e6 - leases * LEASE_S
    await client.set(keys.SWEPT, int(1000 * ago))
    await store.sweep()
    assert (await store.record("j")).status == "running"
    assert await store.renew([held]) == []


async def test_processes_wake_each_other(make: MakeStore) -> None:
    api, worker = make(), make()
    waiting = asyncio.ensure_future(claim(worker))
    await asyncio.sleep(0.1)
    await api.put(job("j"))
    held = await waiting
    client = asyncio.ensure_future(api.wait("j"))
    heard = worker.cancellations()
    await asyncio.sleep(0.1)
    await worker.complete(held, RESULT)
    assert is_result((await asyncio.wait_for(client, 5)).outcome)
    await api.put(job("unwanted"))
    await claim(worker)
    await api.cancel("unwanted")
    assert await asyncio.wait_for(anext(heard), 5) == "unwanted"


async def test_a_lost_message_loses_nothing(
    make: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, worker = make(poll_s=0.05), make(poll_s=0.05)
    await api.put(job("first"))
    await worker.complete(await claim(worker), RESULT)
    await api.wait("first")
    for store in (api, worker):
        monkeypatch.setattr(store._subscription, "_on_message", lambda message: None)
    waiting = asyncio.ensure_future(claim(worker))
    await asyncio.sleep(0.1)
    await api.put(job("j"))
    held = await asyncio.wait_for(waiting, 5)
    client = asyncio.ensure_future(api.wait("j"))
    await asyncio.sleep(0.1)
    await worker.complete(held, RESULT)
    assert (await asyncio.wait_for(client, 5)).status == "succeeded"


async def test_a_claim_given_up_at_any_moment_takes_no_job_with_it(make: MakeStore) -> None:
    store = make()
    for step in range(40):
        await store.put(job(str(step)))
        waiting = asyncio.ensure_future(store.claim((A,)))
        for _ in range(step):
            await asyncio.sleep(0)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await store.release(await waiting)
        assert await store.complete(await claim(store), RESULT)


async def test_all_processes_share_one_bound(make: MakeStore) -> None:
    stores = [make(), make()]
    puts = [stores[n % 2].put(job(str(n), (A, B)[n % 2])) for n in range(3 * CAPACITY)]
    refusals = [
        refusal
        for refusal in await asyncio.gather(*puts, return_exceptions=True)
        if isinstance(refusal, QueueFull)
    ]
    assert len(refusals) == 2 * CAPACITY


async def test_a_job_that_cannot_be_read_fails_alone(make: MakeStore, client: Redis) -> None:
    store = make()
    await store.put(job("damaged"))
    await store.put(job("sound"))
    await client.set(keys.TASK + "damaged", b"\x80")
    assert (await claim(store)).job.id == "sound"
    with pytest.raises(ComputationFailed, match="cannot be read"):
        await store.wait("damaged")


async def test_only_counters_are_left_of_jobs_that_are_gone(make: MakeStore, client: Redis) -> None:
    store = make()
    for number in range(60):
        name = str(number)
        await store.put(replace(job(name), checkpoint=(A, B)[number % 2], priority=number % 3))
        if number % 3:
            await store.cancel(name)
        else:
            held = await claim(store, A, B)
            if number % 2:
                await store.release(held)
                held = await claim(store, A, B)
            await store.complete(held, RESULT)
        await store.forget(name)
    await store.sweep()
    await asyncio.sleep(LEASE_S + 0.1)
    left = {key.decode() for key in await client.keys()}
    counters = {keys.ADMITTED, keys.DRAINED, keys.KEPT_BYTES, keys.SWEPT, keys.BORN, keys.SERVER}
    assert left <= counters


async def test_what_belongs_to_a_job_expires(make: MakeStore, client: Redis) -> None:
    store = make()
    await store.put(job("j"))
    for prefix in (keys.JOB, keys.TASK):
        assert await client.pttl(prefix + "j") > 1000 * (2_000 - 1_000)
    await store.complete(await claim(store), RESULT)
    for prefix in (keys.TASK, keys.RESULT):
        assert 0 < await client.pttl(prefix + "j") <= 60_000
    for name in (keys.JOB + "j", keys.OWNED, keys.INDEX):
        assert await client.pttl(name) > 60_000


async def test_without_room_everything_goes_on_but_admission(
    make: MakeStore, client: Redis
) -> None:
    store, fleet = make(), Fleet(client)
    moves: dict[str, Callable[[Claim], Awaitable[object]]] = {
        "renewed": lambda held: store.renew([held]),
        "reported": lambda held: store.report(held, 0.5),
        "released": store.release,
        "completed": lambda held: store.complete(held, RESULT),
        "cancelled": lambda held: store.cancel("cancelled"),
        "left": lambda held: store.leave("left", "left"),
    }
    held = {}
    for name in moves:
        await store.put(job(name), attended=name == "left")
        held[name] = await claim(store)
    await store.put(job("queued"))
    await client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreUnavailable):
            await store.put(job("more"))
        for name, move in moves.items():
            await move(held[name])
        assert (await store.record("completed")).status == "succeeded"
        assert (await store.record("cancelled")).status == "cancelled"
        assert (await claim(store)).job.id == "released"
        assert (await claim(store)).job.id == "queued"
        for name in ("renewed", "reported", "released", "queued"):
            await taken_back(store, name)
        for name in ("completed", "cancelled"):
            await store.expire(name)
            await store.forget(name)
        assert (await claim(store)).company
        assert not await client.exists(keys.JOB + "left", keys.JOB + "completed")
        await fleet.announce("w", 0.0, [])
        assert await fleet.models() == []
        await fleet.retire("w")
        letters = DeadLetters(client)
        assert await letters.all() == []
        with pytest.raises(UnknownJob):
            await letters.drop("j")
    finally:
        await client.config_set("maxmemory", 0)


async def test_a_redis_without_room_is_unavailable(make: MakeStore, client: Redis) -> None:
    store = make()
    await client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreUnavailable):
            await store.put(job("j"))
    finally:
        await client.config_set("maxmemory", 0)
    await store.put(job("j"))


async def test_a_long_list_is_looked_through_in_pieces(
    make: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.records.LOOKED_AT", 1)
    store = make(Bounds(500, 500, 60.0))
    for number in range(250):
        await store.put(job(f"j{number}"))
    await store.cancel("j0")
    found, before, looks = list[str](), None, 0
    while before is not None or not looks:
        page = await store.jobs(None, "cancelled", 10, before)
        found, before, looks = [*found, *(one.id for one in page.jobs)], page.before, looks + 1
    assert found == ["j0"]
    assert looks > 2
