"""Calls that are owed, in both stores: taken once an attempt, due again if nobody settles them."""

from dataclasses import replace

import pytest
from redis_server import RedisServer
from store_setup import POLL_S, RESULT, A, FakeClock, bounds, claim, job

from service.store.base import Store
from service.store.connection import connect
from service.store.redis import RedisStore

pytestmark = pytest.mark.anyio

URL = "https://example.com/done"
LEASE_S = 60.0


async def end_one(store: Store, name: str = "one") -> None:
    await store.put(replace(job(name), callback_url=URL))
    assert await store.complete(await claim(store, A), RESULT)


async def test_nothing_is_owed_without_a_url(store: Store) -> None:
    await store.put(job("one"))
    await store.complete(await claim(store, A), RESULT)
    assert await store.callbacks.take(LEASE_S) is None


async def test_an_ended_job_is_owed_and_no_other(store: Store) -> None:
    await store.put(replace(job("one"), callback_url=URL))
    assert await store.callbacks.take(LEASE_S) is None
    held = await claim(store, A)
    assert await store.callbacks.take(LEASE_S) is None
    await store.complete(held, RESULT)
    call = await store.callbacks.take(LEASE_S)
    assert call is not None
    assert (call.url, call.attempt) == (URL, 1)
    assert call.job == await store.summary("one")
    assert call.job.status == "succeeded"


@pytest.mark.parametrize("end", ["cancelled", "timed-out"])
async def test_every_end_is_owed(store: Store, clock: FakeClock, end: str) -> None:
    await store.put(replace(job("one"), callback_url=URL))
    if end == "cancelled":
        await store.cancel("one")
    else:
        clock.now += 2_000
        await store.sweep()
    call = await store.callbacks.take(LEASE_S)
    assert call is not None
    assert call.job.status == end


async def test_a_call_is_taken_once_and_again_when_its_lease_runs_out(
    store: Store, clock: FakeClock
) -> None:
    await end_one(store)
    first = await store.callbacks.take(LEASE_S)
    assert await store.callbacks.take(LEASE_S) is None
    clock.now += LEASE_S - 1
    assert await store.callbacks.take(LEASE_S) is None
    clock.now += 1
    second = await store.callbacks.take(LEASE_S)
    assert first is not None
    assert second is not None
    assert (first.attempt, second.attempt) == (1, 2)
    # Who was late changes nothing of the second attempt.
    await store.callbacks.settle(first, None)
    clock.now += LEASE_S
    third = await store.callbacks.take(LEASE_S)
    assert third is not None
    await store.callbacks.settle(third, None)
    clock.now += 10 * LEASE_S
    assert await store.callbacks.take(LEASE_S) is None


async def test_a_call_that_failed_is_due_later(store: Store, clock: FakeClock) -> None:
    await end_one(store)
    call = await store.callbacks.take(LEASE_S)
    assert call is not None
    await store.callbacks.settle(call, 5.0)
    clock.now += 4
    assert await store.callbacks.take(LEASE_S) is None
    clock.now += 1
    again = await store.callbacks.take(LEASE_S)
    assert again is not None
    assert again.attempt == 2


async def test_the_longest_due_is_first(store: Store, clock: FakeClock) -> None:
    await end_one(store, "one")
    clock.now += 1
    await end_one(store, "two")
    names = [call.job.id for _ in range(2) if (call := await store.callbacks.take(LEASE_S))]
    assert names == ["one", "two"]


async def test_a_call_outlives_the_result_of_its_job(store: Store, clock: FakeClock) -> None:
    await end_one(store)
    clock.now += bounds().retention_s + 600
    await store.expire("one")
    call = await store.callbacks.take(LEASE_S)
    assert call is not None
    assert call.job.status == "succeeded"


async def test_two_processes_never_hold_one_call(server: RedisServer, clock: FakeClock) -> None:
    async with connect(server.url) as client, connect(server.url) as other:
        one = RedisStore(client, bounds(), clock=clock, poll_s=POLL_S)
        two = RedisStore(other, bounds(), clock=clock, poll_s=POLL_S)
        await end_one(one)
        taken = [await store.callbacks.take(LEASE_S) for store in (one, two)]
        assert [call is None for call in taken] == [False, True]
        # The process that holds it dies, and the other goes on.
        clock.now += LEASE_S
        call = await two.callbacks.take(LEASE_S)
        assert call is not None
        assert call.attempt == 2
        await one.close()
        await two.close()


async def test_a_call_about_a_forgotten_job_is_dropped(server: RedisServer) -> None:
    async with connect(server.url) as client:
        store = RedisStore(client, bounds(), clock=FakeClock(), poll_s=POLL_S)
        await end_one(store)
        await store.forget("one")
        assert await store.callbacks.take(LEASE_S) is None
        await store.close()
