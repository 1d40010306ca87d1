"""What is read from Redis may be anything: it fails its own job, is told once, stops nothing."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import msgpack
import pytest
from documents import JOBS
from redis.asyncio import Redis
from redis_server import RedisServer
from store_setup import POLL_S, RESULT, A, B, FakeClock, bounds, claim, job

from service.errors import ComputationFailed
from service.settings import Settings
from service.store import keys
from service.store.connection import Connected, connect
from service.store.dead_letters import DeadLetters
from service.store.fleet import Fleet
from service.store.orders import Orders
from service.store.quotas import Quotas
from service.store.redis import RedisStore
from service.store.wire import encode_job
from service.telemetry.observers import StoreObserver

pytestmark = pytest.mark.anyio

BYTES = b"\xff\xfe\x00"
QUEUE = f"{A}:0"


class Told(StoreObserver):
    def __init__(self) -> None:
        self.found = Counter[str]()

    def unreadable(self, what: str) -> None:
        self.found[what] += 1


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def client(server: RedisServer) -> AsyncIterator[Redis]:
    async with connect(server.url) as client:
        yield client


@pytest.fixture
async def store(client: Redis, clock: FakeClock, told: Told) -> AsyncIterator[RedisStore]:
    store = RedisStore(client, bounds(0.5), clock=clock, poll_s=POLL_S, observer=told)
    yield store
    await store.close()


@pytest.fixture
async def sweeping(store: RedisStore) -> AsyncIterator[None]:
    """An API, which sweeps all the time; on a quiet day the first sweep was long ago."""

    async def sweep() -> None:
        while True:
            await store.sweep()
            await asyncio.sleep(0.05)

    task = asyncio.create_task(sweep())
    await asyncio.sleep(0.6)
    yield
    assert not task.done()
    task.cancel()


async def works(store: RedisStore, name: str) -> None:
    """A new job is admitted, claimed, listed and ended, as if nothing had been."""
    await store.sweep()
    await store.put(job(name))
    assert name in [one.id for one in (await store.jobs("", None, 99, None)).jobs]
    while (held := await claim(store)).job.id != name:
        await store.complete(held, RESULT)
    assert await store.renew([held]) == []
    await store.report(held, 0.5)
    assert await store.complete(held, RESULT)
    assert (await store.wait(name)).status == "succeeded"
    await store.load()
    await store.sweep()


STRUCTURES = [
    *(keys.WAITING, keys.WAITING_COST, keys.OWNER_JOBS, keys.OWNER_COST, keys.TURN, keys.TURNS),
    *(keys.QUEUES, keys.QUEUE + QUEUE, keys.RETURNED + QUEUE, keys.SUSPECTS + QUEUE, keys.INDEX),
    *(keys.OWNED, keys.ENDED, keys.OWNER_ENDED, keys.KEPT, keys.KEPT_BYTES, keys.OWNER_BYTES),
    *(keys.ADMITTED, keys.DRAINED, keys.SWEPT, keys.GRACE, keys.CALLS, keys.DEAD_LETTERS),
    *(keys.RUNNING, keys.ATTENDED, keys.LISTENERS + A, keys.BORN, keys.MEND, keys.WORKERS),
    *(keys.SERVER, keys.GAPS),
]


@pytest.mark.parametrize("kind", ["string", "list", "hash", "gone"])
@pytest.mark.parametrize("key", STRUCTURES)
@pytest.mark.usefixtures("sweeping")
async def test_a_structure_of_another_type_is_made_again(
    store: RedisStore, client: Redis, key: str, kind: str
) -> None:
    await store.put(job("waits"), attended=True)
    await store.put(job("runs"))
    first = await claim(store)
    async with client.pipeline() as at_once:
        at_once.delete(key)
        if kind == "string":
            at_once.set(key, BYTES)
        elif kind == "list":
            at_once.rpush(key, "garbage", BYTES)
        elif kind == "hash":
            at_once.hset(key, "a", "garbage")
        await at_once.execute()
    await asyncio.sleep(0.2)
    assert await store.renew([first]) == []
    assert await store.complete(first, RESULT)
    second = await claim(store)
    assert {first.job.id, second.job.id} == {"waits", "runs"}
    await store.complete(second, RESULT)
    await works(store, "new")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("status", b"junk"), ("deadline", b"junk"), ("deadline", b"nan"), ("deadline", b"1e300")),
        *(("cost", b"junk"), ("cost", b"-1"), ("epoch", BYTES), ("entry", b"junk")),
        *(("entry", b"18446744073709551615-7"), ("queue", b"junk"), ("owner", b"another")),
        *(("priority", b"77x"), ("checkpoint", b"a:b"), ("created_at", b"")),
    ],
)
@pytest.mark.parametrize("state", ["queued", "running"])
async def test_a_job_that_cannot_be_read_fails_with_a_reason(
    store: RedisStore, client: Redis, told: Told, state: str, field: str, value: bytes
) -> None:
    await store.put(job("victim"))
    held = await claim(store) if state == "running" else None
    await client.hset(keys.JOB + "victim", field, value)
    await store.sweep()
    summary = await store.summary("victim")
    assert (summary.id, summary.status) == ("victim", "failed")
    outcome = (await store.record("victim")).outcome
    assert isinstance(outcome, ComputationFailed)
    assert field in outcome.detail or "queue" in outcome.detail
    if held is not None:
        assert await store.renew([held]) == [held]
        assert not await store.complete(held, RESULT)
    assert told.found["job"] == 1
    await works(store, "new")
    assert told.found["job"] == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("progress", b"junk"), ("progress", b"nan"), ("started_at", BYTES), ("told", b"x")),
        *(("waiters", b"x"), ("model", BYTES), ("kind", b"junk"), ("watched", b"x")),
        *(("company", b"x"), ("crashes", b"x"), ("kept_for", BYTES), ("odd", BYTES)),
    ],
)
async def test_a_field_that_a_job_can_do_without_costs_it_nothing(
    store: RedisStore, client: Redis, field: str, value: bytes
) -> None:
    await store.put(job("victim"), attended=True)
    held = await claim(store)
    await client.hset(keys.JOB + "victim", field, value)
    summary = await store.summary("victim")
    assert (summary.kind, summary.status) == ("samples", "running")
    news = store.watch("victim", None)
    await anext(news)
    await store.report(held, 0.25)
    await news.aclose()
    assert await store.complete(held, RESULT)
    assert (await store.wait("victim")).status == "succeeded"
    await store.leave("victim", "victim")
    await works(store, "new")


def mutated(**changes: Any) -> Any:
    def change(document: dict[str, Any]) -> bytes:
        task = changes.get("task", {})
        return msgpack.packb(document | changes | {"task": document["task"] | task})

    return change


TASKS = {
    "bytes": lambda _: BYTES,
    "empty": lambda _: b"",
    "deep": lambda _: b"\x91" * 100_000 + b"\x00",
    "vast": lambda _: b"\xdf\xff\xff\xff\xff",
    "version": mutated(version=99),
    "count": mutated(task={"count": 2**40}),
    "count 0": mutated(task={"count": 0}),
    "count and cost": mutated(task={"count": 2**40}, cost=2**41),
    "checkpoint": mutated(checkpoint=B),
    "id": mutated(id="another"),
    "kind": lambda document: msgpack.packb(
        msgpack.unpackb(encode_job(JOBS["likelihoods"]))
        | {"id": "victim", "checkpoint": A, "cost": document["cost"]}
    ),
}


@pytest.mark.parametrize("name", TASKS)
async def test_a_stored_task_that_was_not_admitted_fails(
    store: RedisStore, client: Redis, name: str
) -> None:
    await store.put(job("victim", cost=100))
    document = msgpack.unpackb(await client.get(keys.TASK + "victim"))
    await client.set(keys.TASK + "victim", TASKS[name](document), keepttl=True)
    await store.put(job("neighbour"))
    assert (await claim(store)).job.id == "neighbour"
    assert (await store.summary("victim")).status == "failed"
    try:
        outcome = (await store.wait("victim")).outcome
    except ComputationFailed as error:
        # The task is not to be had, and with it no record.
        outcome = error
    assert isinstance(outcome, ComputationFailed)


@pytest.mark.parametrize("shape", [[2**62, 2**62, 0, 0], [0, 4, 4, 1], [-1, 1], "x"])
async def test_images_of_an_absurd_shape_fail_their_job(
    store: RedisStore, client: Redis, shape: Any
) -> None:
    await store.put(replace(job("victim"), task=JOBS["likelihoods"].task, cost=70))
    document = msgpack.unpackb(await client.get(keys.TASK + "victim"))
    document["task"]["images"] = {"shape": shape, "data": b""}
    await client.set(keys.TASK + "victim", msgpack.packb(document), keepttl=True)
    await store.put(job("neighbour"))
    assert (await claim(store)).job.id == "neighbour"
    assert (await store.summary("victim")).status == "failed"


async def test_a_deadline_that_never_comes_is_that_of_the_queue(
    store: RedisStore, client: Redis
) -> None:
    await store.put(job("victim"))
    document = msgpack.unpackb(await client.get(keys.TASK + "victim"))
    endless = msgpack.packb(document | {"deadline": float("inf")})
    await client.set(keys.TASK + "victim", endless, keepttl=True)
    assert (await claim(store)).job.deadline == 2_000.0


async def test_stray_entries_and_names_are_dropped(
    store: RedisStore, client: Redis, told: Told
) -> None:
    await store.put(job("first"))
    await client.xadd(keys.QUEUE + QUEUE, {"foo": "bar"})
    await client.xadd(keys.QUEUE + QUEUE, {"job": "first"})
    await client.sadd(keys.QUEUES, "foo", BYTES, f"{A}:x", f"{A}:0:nobody", "a:b:c")
    await client.zadd(keys.RETURNED + QUEUE, {BYTES: float("inf"), "nobody": -1})
    await client.zadd(keys.SUSPECTS + QUEUE, {BYTES: float("-inf"), "nobody": 1})
    await client.zadd(keys.WAITING, {BYTES: float("inf"), "nobody": 1, "nowhere": 1e300})
    await client.zadd(keys.INDEX, {BYTES: float("inf"), "first": 7})
    await client.zadd(keys.OWNED, {BYTES: float("inf"), "nobody": 9})
    await works(store, "new")
    assert await client.zcard(keys.WAITING) == 0
    assert told.found["queue"] >= 1


async def test_a_list_shows_no_job_of_another_owner(store: RedisStore, client: Redis) -> None:
    await store.put(job("mine", owner="me"))
    await store.put(job("theirs", owner="them"))
    await client.zadd(keys.OWNED + "me", {"theirs": 2})
    assert [one.id for one in (await store.jobs("me", None, 9, None)).jobs] == ["mine"]


async def test_one_unreadable_job_is_left_out_of_the_list(
    store: RedisStore, client: Redis, told: Told
) -> None:
    for name in ("first", "odd", "last"):
        await store.put(job(name))
    await client.hset(keys.JOB + "odd", "kind", "of a newer build")
    await client.delete(keys.TASK + "odd")
    for _ in range(2):
        listed = (await store.jobs("", None, 9, None)).jobs
        assert [one.id for one in listed] == ["last", "first"]
    assert told.found["job"] == 1
    with pytest.raises(ComputationFailed, match="cannot be read"):
        await store.summary("odd")


async def test_a_job_whose_record_is_gone_fails_with_a_reason(
    store: RedisStore, client: Redis
) -> None:
    await store.put(job("victim"))
    await claim(store)
    await client.set(keys.JOB + "victim", b"garbage")
    assert (await store.summary("victim")).status == "failed"
    assert "lost" in str((await store.record("victim")).outcome)


async def test_messages_that_are_none_silence_nobody(
    store: RedisStore, client: Redis, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    await store.put(job("j"))
    held = await claim(store)
    waiting = asyncio.ensure_future(store.wait("j"))
    heard = store.cancellations()
    await asyncio.sleep(0.1)
    for channel in (keys.ENDS, keys.NEWS, keys.CANCELLED, keys.ARRIVALS, keys.WAKE + store.name):
        for _ in range(2):
            await client.publish(channel, BYTES)
    await asyncio.sleep(0.1)
    assert told.found["message"] == 5
    assert caplog.text.count("cannot be read") == 5
    await store.complete(held, RESULT)
    assert (await asyncio.wait_for(waiting, 2)).status == "succeeded"
    await store.put(job("unwanted"))
    await claim(store)
    await store.cancel("unwanted")
    assert await asyncio.wait_for(anext(heard), 2) == "unwanted"


async def test_announcements_orders_and_letters_may_be_anything(
    store: RedisStore, client: Redis, told: Told, clock: FakeClock
) -> None:
    fleet, orders, letters = Fleet(client, told), Orders(client, told), DeadLetters(client, clock)
    await fleet.announce("sound", 0.0, [])
    await client.zadd(keys.WORKERS, {BYTES: 1, "odd": 2})
    await client.set(keys.WORKER.encode() + BYTES, "{}")
    await client.set(keys.WORKER + "odd", BYTES)
    order = await orders.give("tiny", "load")
    await client.hset(keys.ORDERS, mapping={BYTES: "{}", "odd": "{}"})
    await client.zadd(keys.DEAD_LETTERS, {BYTES: 1, "odd": 2, "gone": 3})
    await client.hset(keys.DEAD_LETTER + "odd", mapping={"task": BYTES, "died_at": "x"})
    for _ in range(2):
        assert await fleet.models() == []
        assert "sound" in await fleet.names()
        assert await orders.latest() == {"tiny": order}
        assert await letters.all() == []
    assert told.found["worker"] == 2
    assert told.found["order"] == 2
    for key in (keys.WORKERS, keys.ORDERS, keys.DEAD_LETTERS):
        await client.delete(key)
        await client.set(key, BYTES)
    await fleet.announce("sound", 0.0, [])
    assert await fleet.names() == {"sound"}
    assert await orders.latest() == {}
    assert await letters.all() == []


async def test_counters_of_requests_that_do_not_count_begin_anew(client: Redis, told: Told) -> None:
    quotas = Quotas(Settings(request_rate="2/minute"), [Connected(client)], told)
    await quotas.admit("somebody")
    (key,) = await client.keys(keys.RATES + "*")
    await client.delete(key)
    await client.hset(key, "a", "b")
    await quotas.admit("somebody")
    await quotas.admit("somebody")
    assert told.found["key"] == 1


@pytest.mark.usefixtures("sweeping")
async def test_a_job_that_nobody_ends_is_ended(
    store: RedisStore, client: Redis, clock: FakeClock
) -> None:
    """Its worker is gone, and so is all that would tell of that."""
    await store.put(replace(job("j"), deadline=1_010.0))
    await claim(store)
    clock.now += 100
    async with asyncio.timeout(10):
        while (await store.summary("j")).status != "timed-out":
            await client.delete(keys.QUEUE + QUEUE, keys.QUEUES)
            await asyncio.sleep(0.1)
