"""Users of Redis with the rights that docs/redis-users.md names, and with fewer."""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis_server import RedisServer
from store_setup import RESULT, A, FakeClock, bounds, claim, is_result, job

from service.errors import StoreUnavailable
from service.settings import Settings
from service.store import connection, keys, telling
from service.store.base import Key
from service.store.connection import NULL_OBSERVER, Connected, check, connect, round_trip
from service.store.dead_letters import DeadLetters
from service.store.fleet import Fleet
from service.store.orders import Orders, Report
from service.store.quotas import Quotas
from service.store.redis import RedisStore

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[3] / "docs/redis-users.md"
NO_DANGER = "on >secret ~mulan:* &mulan:* +@all -@dangerous"


def documented() -> str:
    found = re.search(r"^ACL SETUSER mulan (.*)$", PAGE.read_text(), re.MULTILINE)
    assert found is not None
    return found[1].replace("PASSWORD", "secret")


@pytest.fixture
async def admin(server: RedisServer) -> AsyncIterator[Redis]:
    async with connect(server.url) as client:
        yield client
        await client.execute_command("ACL", "DELUSER", "mulan")


async def as_user(admin: Redis, rights: str) -> None:
    version = str((await admin.info("server"))["redis_version"])
    words = rights.split()
    if version.startswith("6."):
        words = [word.split("|")[0] if "client|" in word else word for word in words]
    await admin.execute_command("ACL", "SETUSER", "mulan", "reset", "resetchannels", *words)


@pytest.mark.parametrize("rights", [documented(), NO_DANGER], ids=["documented", "no-danger"])
async def test_a_user_may_do_all_that_the_service_does(
    server: RedisServer, admin: Redis, clock: FakeClock, rights: str
) -> None:
    await as_user(admin, rights)
    url = server.url.replace("redis://", "redis://mulan:secret@")
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(connect(url))
        store = RedisStore(client, bounds(0.3), clock=clock, poll_s=0.2)
        stack.push_async_callback(store.close)
        await check(Connected(client))
        await store.check_capacity("", 1)
        assert not await store.knows(Key("scope", "digest"))
        await store.put(job("j"), Key("scope", "digest"), attended=True)
        waiting = asyncio.ensure_future(store.wait("j"))
        held = await claim(store)
        assert await store.renew([held]) == []
        await store.report(held, 0.5)
        await store.release(held)
        held = await claim(store)
        assert await store.has_jobs(A)
        news = store.watch("j", None)
        await anext(news)
        await store.report(held, 0.7, b"png")
        await anext(news)
        await store.complete(held, RESULT)
        assert is_result((await asyncio.wait_for(waiting, 5)).outcome)
        await news.aclose()
        await store.leave("j", "j")
        for one in ("cancelled", "dead"):
            await store.put(job(one))
        await store.jobs(None, None, 9, None)
        await store.jobs("", "queued", 9, None)
        await store.cancel("cancelled")
        await store.expire("cancelled")
        await store.forget("cancelled")
        async with asyncio.timeout(20):
            while (await store.summary("dead")).status != "failed":
                if (await store.summary("dead")).status == "queued":
                    await claim(store)
                await store.sweep()
                await asyncio.sleep(0.05)
        letters = DeadLetters(client, clock)
        assert [letter.id for letter in await letters.all()] == ["dead"]
        await letters.retry("dead", 100.0)
        await store.put(job("due", deadline=clock.now + 1), attended=True)
        clock.now += 2
        await store.sweep()
        await admin.set(keys.WAITING, b"odd")
        await store.load()
        await store.sweep()
        await admin.hset(keys.JOB + "dead", "deadline", "odd")
        assert (await store.summary("dead")).status == "failed"
        assert await store.callbacks.take(1.0) is None
        fleet, orders = Fleet(client), Orders(client)
        await fleet.announce("w", 0.0, [])
        assert await fleet.names() == {"w"}
        await fleet.retire("w")
        order = await orders.give("tiny", "load")
        await orders.report(order, "w", Report())
        assert await orders.latest() == {"tiny": order}
        assert await orders.reports(order) == {"w": Report()}
        await orders.withdraw("tiny", order)
        quotas = Quotas(
            Settings(request_rate="1/minute", cost_rate="9/minute"), [Connected(client)]
        )
        await quotas.admit("somebody")
        await quotas.check("somebody", 1)
        await quotas.charge("somebody", 1)


async def test_without_info_one_warning_is_all(
    server: RedisServer, admin: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    await as_user(admin, NO_DANGER)
    async with connect(server.url.replace("redis://", "redis://mulan:secret@")) as client:
        await check(Connected(client))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "may not send INFO" in caplog.text


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://mulan:hunter2@127.0.0.1:{port}/0", "AuthenticationError"),
        ("rediss://mulan:hunter2@127.0.0.1:{port}/0", "at rediss://127.0.0.1:"),
        ("redis://mulan:hunter2@127.0.0.1:1/0", "127.0.0.1:1"),
    ],
)
async def test_what_keeps_a_process_from_redis_is_told_once_a_minute(
    server: RedisServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    words: str,
) -> None:
    monkeypatch.setattr(telling, "_told", {})
    monkeypatch.setattr(connection, "_places", set())
    async with connect(url.format(port=server.port)) as client:
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await check(Connected(client))
        assert len(caplog.records) == 1
        assert words in caplog.text
        monkeypatch.setattr(telling, "EVERY_S", 0.0)
        with pytest.raises(StoreUnavailable):
            await check(Connected(client))
        assert len(caplog.records) == 2
    assert "hunter2" not in caplog.text


async def test_a_password_that_a_server_repeats_is_not_logged(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "service")
    connect("redis://:hunter%232@h/0")
    async with connect(server.url) as client:
        with pytest.raises(StoreUnavailable), round_trip("test", NULL_OBSERVER, 0):
            await client.eval("return redis.error_reply('ERR unknown: hunter#2')", 0)
    assert "***" in caplog.text
    assert "hunter" not in caplog.text
