"""Servers that are replaced, again and again: what of each an API and an operator can know."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis_server import RedisServer
from store_setup import POLL_S, bounds

from service.errors import JobLost, UnknownJob
from service.store import ids, keys
from service.store.connection import connect
from service.store.redis import RedisStore

pytestmark = pytest.mark.anyio

# Longer than what a gap has before the last sweep.
APART_S = 2.5


@pytest.fixture
async def client(server: RedisServer) -> AsyncIterator[Redis]:
    async with connect(server.url) as client:
        yield client


@pytest.fixture
async def store(client: Redis) -> AsyncIterator[RedisStore]:
    """A store whose clock is that of the server, as `missing` needs it."""
    store = RedisStore(client, bounds(), clock=time.time, poll_s=POLL_S)
    await store.sweep()
    yield store
    await store.close()


async def replaced(store: RedisStore, client: Redis) -> str:
    """Let the server be another one, and return the id of a job of which only the one before
    knew."""
    made = ids.new_id(time.time())
    await client.set(keys.SERVER, "0" * 40)
    await store.sweep()
    return made


async def is_lost(store: RedisStore, job_id: str) -> bool:
    with pytest.raises(UnknownJob) as told:
        await store.summary(job_id)
    return isinstance(told.value, JobLost)


async def test_what_was_lost_with_each_server_is_told(
    store: RedisStore, client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await store.load()).gaps == 0
    with caplog.at_level(logging.WARNING):
        first = await replaced(store, client)
        between = ids.new_id(time.time() + 0.1)
        await asyncio.sleep(APART_S)
        await store.sweep()
        await asyncio.sleep(APART_S)
        await store.sweep()
        second = await replaced(store, client)
    assert caplog.text.count("the Redis of shard 0 was replaced or started again") == 2
    assert [await is_lost(store, one) for one in (first, between, second)] == [True, False, True]
    load = await store.load()
    assert load.gaps == 2
    # Each begins two seconds before the last sweep.
    assert load.gap_s >= 4.0


async def test_gaps_of_more_than_a_day_ago_are_forgotten(store: RedisStore, client: Redis) -> None:
    now_ms = int(1000 * time.time())
    day_ms = 86_400_000
    long_ago, ago = now_ms - day_ms - 5_000, now_ms - day_ms + 60_000
    for end in (long_ago, ago):
        await client.zadd(keys.GAPS, {f"{end - 3_000} {end}": end})
    load = await store.load()
    assert (load.gaps, load.gap_s) == (1, 3.0)
    await replaced(store, client)
    assert (await store.load()).gaps == 2
    assert await client.zcard(keys.GAPS) == 2


@pytest.mark.parametrize("swept", ["1" + 300 * "0", "-5", "nothing", ""])
async def test_a_time_of_the_last_sweep_that_cannot_be_harms_nothing(
    store: RedisStore, client: Redis, swept: str
) -> None:
    await client.set(keys.SWEPT, swept)
    await replaced(store, client)
    await store.sweep()
    assert (await store.load()).gap_s < time.time() + 1


async def test_gaps_that_cannot_be_read_are_passed_over(store: RedisStore, client: Redis) -> None:
    end = int(1000 * time.time())
    await client.zadd(keys.GAPS, {"anything": end, f"{end} {end - 9}": end})
    load = await store.load()
    assert (load.gaps, load.gap_s) == (1, 0.0)
    await client.set(keys.GAPS, "another type")
    assert (await store.load()).gaps == 0
