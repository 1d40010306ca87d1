"""Clients that leave jobs that have ended: they are told of together, and what nobody waits for any
more is forgotten."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from redis.asyncio import Redis
from redis_server import RedisServer
from store_setup import POLL_S, RESULT, bounds, claim, is_result, job

from service.errors import UnknownJob
from service.jobs import Job
from service.store import ids, keys
from service.store.base import Key
from service.store.connection import connect
from service.store.redis import RedisStore
from service.telemetry.observers import StoreObserver

pytestmark = pytest.mark.anyio

LEASE_S, SOON_S = 0.6, 20.0
JOBS = 4


class Scripts(StoreObserver):
    """How often each script was called, and how many jobs were said to be orphans."""

    def __init__(self) -> None:
        self.calls, self.orphans = Counter[str](), 0

    def round_trip(self, operation: str, seconds: float, shard: int) -> None:
        self.calls[operation] += 1

    def orphaned(self, jobs: int) -> None:
        self.orphans += jobs


@pytest.fixture
async def client(server: RedisServer) -> AsyncIterator[Redis]:
    async with connect(server.url) as client:
        yield client


@pytest.fixture
def told() -> Scripts:
    return Scripts()


@pytest.fixture
async def api(server: RedisServer, told: Scripts) -> AsyncIterator[RedisStore]:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(connect(server.url))
        store = RedisStore(client, bounds(LEASE_S), clock=time.time, poll_s=POLL_S, observer=told)
        stack.push_async_callback(store.close)
        yield store


@pytest.fixture
async def worker(client: Redis) -> AsyncIterator[RedisStore]:
    store = RedisStore(client, bounds(LEASE_S), clock=time.time, poll_s=POLL_S)
    yield store
    await store.close()


def timely() -> Job:
    return replace(job(ids.new_id(time.time())), deadline=time.time() + 600)


async def done(
    api: RedisStore, worker: RedisStore, count: int, key: Key | None = None
) -> list[str]:
    """Let so many jobs end that are waited for, and read their results."""
    names = []
    for _ in range(count):
        made = timely()
        await api.put(made, key, attended=True)
        waiting = asyncio.ensure_future(api.wait(made.id))
        assert await worker.complete(await claim(worker), RESULT)
        assert is_result((await asyncio.wait_for(waiting, SOON_S)).outcome)
        names.append(made.id)
    return names


async def gone(client: Redis, names: list[str]) -> None:
    """Wait until nothing of these jobs is left."""
    async with asyncio.timeout(SOON_S):
        while await client.exists(*(keys.JOB + name for name in names)):
            await asyncio.sleep(0.01)
    for name in names:
        assert not await client.exists(keys.TASK + name, keys.RESULT + name)
    for index in (keys.INDEX, keys.OWNED, keys.ATTENDED, keys.RUNNING, keys.WAITING, keys.ENDED):
        assert not await client.zcard(index)


async def test_those_who_leave_ended_jobs_are_told_of_together(
    api: RedisStore, worker: RedisStore, client: Redis, told: Scripts
) -> None:
    names = await done(api, worker, JOBS)
    for name in names:
        await api.leave(name, name)
    await gone(client, names)
    assert told.calls["leave"] == 1
    with pytest.raises(UnknownJob):
        await worker.summary(names[0])


async def test_who_leaves_a_job_that_goes_on_is_told_of_at_once(
    api: RedisStore, worker: RedisStore, client: Redis
) -> None:
    made = timely()
    await api.put(made, attended=True)
    held = await claim(worker)
    await api.leave(made.id, made.id)
    assert not await worker.complete(held, RESULT)
    await gone(client, [made.id])


async def test_a_process_that_closes_tells_who_has_left(
    api: RedisStore, worker: RedisStore, client: Redis
) -> None:
    names = await done(api, worker, JOBS)
    for name in names:
        await api.leave(name, name)
    await api.close()
    await gone(client, names)


async def test_what_the_clients_of_a_dead_process_waited_for_is_forgotten_at_its_end(
    api: RedisStore, worker: RedisStore, client: Redis, told: Scripts
) -> None:
    names = await done(api, worker, JOBS)
    # It says no more that its clients wait.
    await api._attendance.close()
    assert await client.exists(*(keys.RESULT + name for name in names)) == JOBS
    async with asyncio.timeout(SOON_S):
        while await client.exists(*(keys.JOB + name for name in names)):
            await api.sweep()
            await asyncio.sleep(LEASE_S / 10)
    await gone(client, names)
    # Nothing was cancelled.
    assert told.orphans == 0


async def test_a_result_that_is_waited_for_takes_the_place_of_none_that_is_kept(
    api: RedisStore, worker: RedisStore, client: Redis
) -> None:
    kept = timely()
    await worker.put(kept)
    await worker.complete(await claim(worker), RESULT)
    names = await done(api, worker, JOBS)
    assert await client.hkeys(keys.KEPT) == [kept.id.encode()]
    for name in names:
        await api.leave(name, name)
    async with asyncio.timeout(SOON_S):
        while await client.exists(keys.JOB + names[-1]):
            await asyncio.sleep(0.01)
    assert is_result((await worker.record(kept.id)).outcome)


async def test_a_result_with_a_key_stays_when_all_have_left(
    api: RedisStore, worker: RedisStore, client: Redis, told: Scripts
) -> None:
    key = Key("somebody's", "digest")
    (name,) = await done(api, worker, 1, key)
    await api.leave(name, name)
    async with asyncio.timeout(SOON_S):
        while not told.calls["leave"]:
            await asyncio.sleep(0.01)
    assert await api.put(timely(), key, attended=True) == name
    assert await client.hkeys(keys.KEPT) == [name.encode()]


async def test_the_indexes_of_jobs_that_have_expired_are_bounded(
    worker: RedisStore, client: Redis
) -> None:
    live = [await worker.put(timely())]
    await client.zadd(keys.INDEX, {f"gone {number}": -number for number in range(1, 4)})
    live.append(await worker.put(timely()))
    # Two for each job that was admitted.
    assert await client.zcard(keys.INDEX) == len(live) + 1
    live.append(await worker.put(timely()))
    assert await client.zrange(keys.INDEX, 0, -1) == [name.encode() for name in live]
    assert await client.pttl(keys.INDEX) > 600_000
