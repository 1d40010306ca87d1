"""The looks for room that a process spares, because it saw a moment ago that there is much."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from redis_server import RedisServer
from store_setup import CAPACITY, CAPACITY_COST, POLL_S, bounds, job

from service.errors import QueueFull
from service.store.bounds import Bounds, SeenRoom
from service.store.connection import connect
from service.store.redis import RedisStore
from service.telemetry.observers import StoreObserver

pytestmark = pytest.mark.anyio

# Far more than a test takes.
LONG_S = 600.0


class Calls(StoreObserver):
    """How often each script was called."""

    def __init__(self) -> None:
        self.of = Counter[str]()

    def round_trip(self, operation: str, seconds: float, shard: int) -> None:
        self.of[operation] += 1


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    monkeypatch.setattr("service.store.bounds.SEEN_FOR_S", LONG_S)
    return Calls()


@pytest.fixture
async def store(server: RedisServer, calls: Calls) -> AsyncIterator[RedisStore]:
    async with connect(server.url) as client:
        store = RedisStore(client, bounds(), poll_s=POLL_S, observer=calls)
        yield store
        await store.close()


async def test_where_half_of_the_queue_is_free_no_look_is_needed(
    store: RedisStore, calls: Calls
) -> None:
    await store.check_capacity("", 1)
    assert calls.of["check_capacity"] == 1
    await store.put(job("a", deadline=1e11))
    await store.check_capacity("", 1)
    assert calls.of["check_capacity"] == 1
    # One that would take much of it is looked for.
    await store.check_capacity("", CAPACITY_COST // 2)
    assert calls.of["check_capacity"] == 2


async def test_where_the_queue_fills_every_look_is_made(store: RedisStore, calls: Calls) -> None:
    for number in range(CAPACITY):
        await store.put(job(f"j{number}", deadline=1e11))
    with pytest.raises(QueueFull):
        await store.check_capacity("", 1)
    assert calls.of["check_capacity"] == 1


async def test_the_queue_decides_where_others_have_filled_it(
    store: RedisStore, server: RedisServer
) -> None:
    await store.put(job("a", deadline=1e11))
    async with connect(server.url) as client:
        other = RedisStore(client, bounds(), poll_s=POLL_S)
        for number in range(1, CAPACITY):
            await other.put(job(f"j{number}", deadline=1e11))
        await other.close()
    await store.check_capacity("", 1)
    with pytest.raises(QueueFull):
        await store.put(job("b", deadline=1e11))
    with pytest.raises(QueueFull):
        await store.check_capacity("", 1)


def test_what_was_seen_holds_for_a_short_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("service.store.bounds.time.monotonic", lambda: now)
    room = SeenRoom(replace(Bounds(10, 10, 60.0), capacity_cost=100))
    assert not room.suffices(1)
    room.seen(4, 40)
    assert room.suffices(9)
    assert not room.suffices(10)
    now = 101.5
    assert not room.suffices(9)
    room.seen(5, 40)
    assert not room.suffices(9)
