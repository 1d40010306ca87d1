"""A Redis that is too old, away, or silent."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis_server import RedisServer
from store_setup import RESULT, bounds, claim, is_result, job

from service.errors import ServeError, StoreUnavailable
from service.store.base import Claim
from service.store.connection import Connected, check, connect, round_trip
from service.store.fleet import Fleet
from service.store.redis import RedisStore
from service.telemetry.observers import StoreObserver

pytestmark = pytest.mark.anyio

ANSWER_WITHIN_S = 0.3
# The ear may be asked first, and a connection made.
BOUND_S = 8.0


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path, durable=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def client(own_redis: RedisServer) -> AsyncIterator[Redis]:
    async with connect(own_redis.url, ANSWER_WITHIN_S) as client:
        yield client


@pytest.fixture
async def store(client: Redis) -> AsyncIterator[RedisStore]:
    store = RedisStore(client, bounds(), clock=lambda: 1_000.0, poll_s=0.2)
    yield store
    await store.close()


async def is_unavailable_within_bounds(store: RedisStore, held: Claim) -> None:
    """Every call but a wait says so in time, while the event loop goes on."""
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.01)
            beats += 1

    heart = asyncio.create_task(beat())
    for call in (
        # More than is known to be free without asking Redis.
        store.check_capacity("", 10**12),
        store.put(job("more")),
        store.leave("j", "j"),
        store.summary("j"),
        store.jobs(None, None, 9, None),
        store.expire("j"),
        store.claim(("a" * 64,)),
        store.renew([held]),
        store.sweep(),
        store.report(held, 0.5),
        store.complete(held, RESULT),
        store.release(held),
        store.cancel("j"),
        store.record("j"),
        store.forget("j"),
    ):
        began, before = time.monotonic(), beats
        with pytest.raises(StoreUnavailable):
            await call
        took = time.monotonic() - began
        assert took < BOUND_S
        assert beats - before >= int(took / 0.1)
    heart.cancel()


async def test_a_redis_that_is_busy_with_anothers_script_is_unavailable(
    own_redis: RedisServer, store: RedisStore, client: Redis
) -> None:
    fleet = Fleet(client)
    await store.put(job("j"))
    held = await claim(store)
    with own_redis.busy():
        await is_unavailable_within_bounds(store, held)
        for call in (fleet.announce("w", 0.0, []), fleet.models(), fleet.retire("w")):
            with pytest.raises(StoreUnavailable):
                await call
    assert await store.complete(held, RESULT)


@pytest.mark.parametrize(
    "error", ["READONLY no", "CLUSTERDOWN no", "TRYAGAIN no", "NOPERM no", "ERR some mistake"]
)
async def test_whatever_redis_refuses_is_unavailable(
    client: Redis, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(StoreUnavailable), round_trip("test", StoreObserver(), 0):
        await client.eval(f"return redis.error_reply('{error}')", 0)
    assert "Redis refused test" in caplog.text


@pytest.mark.parametrize("how", ["stopped", "paused"])
async def test_an_outage_is_told_in_time_and_loses_nothing(
    own_redis: RedisServer, store: RedisStore, how: str
) -> None:
    await store.put(job("held"))
    await store.put(job("j"))
    held = await claim(store)
    waiting = asyncio.ensure_future(store.wait("held"))
    await asyncio.sleep(0.1)
    if how == "stopped":
        own_redis.stop()
    else:
        own_redis.signal(signal.SIGSTOP)
    await is_unavailable_within_bounds(store, held)
    assert not waiting.done()
    if how == "stopped":
        own_redis.start()
        assert await store.complete(held, RESULT)
        assert (await claim(store)).job == job("j")
    else:
        # It now carries out, in whatever order, what it was sent and nobody waits for any more.
        own_redis.signal(signal.SIGCONT)
        while (await store.record("held")).status != "succeeded":
            if not await store.complete(held, RESULT):
                held = await claim(store)
    assert is_result((await asyncio.wait_for(waiting, 10)).outcome)


async def test_an_old_redis_is_refused(client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    await check(Connected(client))

    async def info() -> dict[str, object]:
        return {"redis_version": "6.0.16"}

    monkeypatch.setattr(client, "info", info)
    with pytest.raises(ServeError, match=r"Redis 6\.0\.16 is too old: 6\.2 or newer is needed"):
        await check(Connected(client))


async def test_settings_that_lose_jobs_are_told(
    own_redis: RedisServer, client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    await client.config_set("maxmemory-policy", "allkeys-lru")
    await client.config_set("appendonly", "no")
    await check(Connected(client))
    assert "set noeviction" in caplog.text
    assert "append-only" in caplog.text
