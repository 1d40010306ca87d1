"""A worker that has taken the last job is woken for the next, and does not look for it in vain."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis_server import RedisServer
from store_setup import POLL_S, RESULT, A, B, Busy, FakeClock, bounds, claim, job

from service.store import keys
from service.store.connection import connect
from service.store.redis import RedisStore
from service.telemetry.observers import StoreObserver

pytestmark = pytest.mark.anyio

LISTENERS = keys.LISTENERS + A


class Full(Busy):
    """One more job fills it."""

    @property
    def full(self) -> bool:
        return True


class Scripts(StoreObserver):
    """How often each script was called."""

    def __init__(self) -> None:
        self.calls = Counter[str]()

    def round_trip(self, operation: str, seconds: float, shard: int) -> None:
        self.calls[operation] += 1


@pytest.fixture
def told() -> Scripts:
    return Scripts()


@pytest.fixture
async def client(server: RedisServer) -> AsyncIterator[Redis]:
    async with connect(server.url) as client:
        yield client


@pytest.fixture
async def store(client: Redis, clock: FakeClock, told: Scripts) -> AsyncIterator[RedisStore]:
    store = RedisStore(client, bounds(), clock=clock, poll_s=POLL_S, observer=told)
    yield store
    await store.close()


async def test_after_the_last_job_no_look_is_in_vain(store: RedisStore, told: Scripts) -> None:
    await store.put(job("first"))
    held = await claim(store)
    for name in ("second", "third"):
        await store.complete(held, RESULT)
        waiting = asyncio.ensure_future(store.claim((A,)))
        await asyncio.sleep(0.05)
        await store.put(job(name))
        held = await asyncio.wait_for(waiting, 5)
        assert held.job.id == name
    assert told.calls["claim"] == told.calls["put"] == 3


async def test_a_job_that_came_before_the_next_claim_is_taken_at_once(store: RedisStore) -> None:
    await store.put(job("first"))
    await claim(store)
    await store.put(job("second"))
    async with asyncio.timeout(5):
        assert (await store.claim((A,))).job.id == "second"


async def test_while_others_wait_a_worker_goes_on_looking(store: RedisStore, client: Redis) -> None:
    for name in ("first", "second", "third"):
        await store.put(job(name, B if name == "third" else A))
    for _ in range(2):
        await claim(store)
        assert await client.zcard(LISTENERS) == 0
    # The third is of another checkpoint: this worker has found nothing.
    waiting = asyncio.ensure_future(store.claim((A,)))
    async with asyncio.timeout(5):
        while await client.zcard(LISTENERS) == 0:
            await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert await client.zcard(LISTENERS) == 0


async def test_a_worker_counts_as_holding_what_it_has_taken(
    store: RedisStore, client: Redis
) -> None:
    await store.put(job("first"))
    await store.claim((A, B), Busy(3))
    for checkpoint in (A, B):
        assert await client.zscore(keys.LISTENERS + checkpoint, store.name) == 4


async def test_a_worker_that_is_full_is_not_woken(store: RedisStore, client: Redis) -> None:
    await store.put(job("first"))
    held = await store.claim((A,), Full())
    assert await client.zcard(LISTENERS) == 0
    # When it has room again, it looks: nobody would have told it of a job that came meanwhile.
    await store.put(job("second"))
    await store.complete(held, RESULT)
    async with asyncio.timeout(5):
        assert (await store.claim((A,), Full())).job.id == "second"


async def test_a_worker_that_holds_a_suspect_is_not_woken(store: RedisStore, client: Redis) -> None:
    await store.put(job("first"))
    await store.release(await claim(store))
    await client.hset(keys.JOB + "first", mapping={"quarantined": 1, "company": 2})
    assert (await claim(store)).company == 2
    assert await client.zcard(LISTENERS) == 0
