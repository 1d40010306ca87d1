"""What every store promises to those who ask: keys, attendance, lists, watching, costs."""

import asyncio
from dataclasses import replace

import pytest
from store_setup import (
    CAPACITY,
    CAPACITY_COST,
    RESULT,
    RETENTION_S,
    A,
    B,
    FakeClock,
    claim,
    is_result,
    job,
    nothing_to_claim,
)

from service.errors import (
    ComputationFailed,
    DeadlineExceeded,
    InvalidRequest,
    QueueFull,
    ResultExpired,
    UnknownJob,
)
from service.jobs import Outcome
from service.store.base import Key, Store
from service.store.news import RECENT, Advance, End, News, Reset
from service.store.rules import Load

pytestmark = pytest.mark.anyio

KEY = Key("caller and path", "request")


async def heard(store: Store, count: int, after: int | None = None) -> list[News]:
    """The first `count` news of job j."""
    found: list[News] = []
    watch = store.watch("j", after)
    async with asyncio.timeout(5):
        while len(found) < count:
            found.append(await anext(watch))
    await watch.aclose()  # type: ignore[attr-defined]
    return found


async def test_the_same_key_joins_while_it_is_remembered(store: Store, clock: FakeClock) -> None:
    assert await store.put(job("first"), KEY) == "first"
    assert await store.put(job("second"), KEY) == "first"
    held = await claim(store)
    assert await nothing_to_claim(store)
    assert await store.put(job("third"), KEY) == "first"
    await store.complete(held, RESULT)
    assert await store.put(job("fourth"), KEY) == "first"
    assert await store.put(job("other"), KEY._replace(scope="another caller")) == "other"
    clock.now += RETENTION_S + 1
    assert await store.put(job("fifth", deadline=9_000.0), KEY) == "fifth"


@pytest.mark.parametrize("end", ["cancelled", "timed-out"])
async def test_a_key_without_an_answer_is_begun_anew(
    store: Store, clock: FakeClock, end: str
) -> None:
    deadline = clock.now + 5
    await store.put(job("first", deadline=deadline), KEY)
    if end == "cancelled":
        await store.cancel("first")
    else:
        clock.now = deadline + 1
        await store.sweep()
    assert (await store.summary("first")).status == end
    with pytest.raises(InvalidRequest):
        await store.put(job("other"), KEY._replace(digest="another request"))
    assert await store.put(job("second"), KEY) == "second"
    assert await store.put(job("third"), KEY) == "second"
    await store.forget("first")
    await store.complete(await claim(store), RESULT)
    assert await store.put(job("fourth"), KEY) == "second"


async def test_the_same_key_for_something_else_is_refused(store: Store) -> None:
    await store.put(job("first"), KEY)
    with pytest.raises(InvalidRequest) as refusal:
        await store.put(job("second"), KEY._replace(digest="another request"))
    assert refusal.value.code == "idempotency-mismatch"
    with pytest.raises(UnknownJob):
        await store.summary("second")


@pytest.mark.parametrize("drop", ["forget", "expire"])
async def test_a_key_goes_with_the_result(store: Store, drop: str) -> None:
    await store.put(job("first"), KEY)
    await store.complete(await claim(store), RESULT)
    await getattr(store, drop)("first")
    assert await store.put(job("second"), KEY._replace(digest="another")) == "second"


async def test_a_key_joins_also_where_the_queue_is_full(store: Store) -> None:
    await store.put(job("first", deadline=5_000.0), KEY)
    while True:
        try:
            await store.put(job(f"more {len((await store.jobs(None, None, 100, None)).jobs)}"))
        except QueueFull:
            break
    assert await store.put(job("again"), KEY) == "first"


async def test_an_attended_job_goes_with_the_last_who_waits(store: Store) -> None:
    ears = store.cancellations()
    for number in range(3):
        await store.put(job(f"j{number}"), KEY, attended=True)
    held = await claim(store)
    for waiter in ("j0", "j2", "j2", "nobody"):
        await store.leave("j0", waiter)
    assert (await store.summary("j0")).status == "running"
    await store.leave("j0", "j1")
    assert await asyncio.wait_for(anext(ears), 5) == "j0"
    with pytest.raises(UnknownJob):
        await store.summary("j0")
    assert not await store.complete(held, RESULT)
    assert await store.put(job("new"), KEY, attended=True) == "new"


@pytest.mark.parametrize(
    ("outcome", "kept"),
    [(RESULT, True), (ComputationFailed("no"), True), (DeadlineExceeded("late"), False)],
)
async def test_what_has_a_key_can_be_asked_for_again(
    store: Store, outcome: Outcome, kept: bool
) -> None:
    await store.put(job("first"), KEY, attended=True)
    await store.put(job("keyless"), attended=True)
    for _ in range(2):
        await store.complete(await claim(store), outcome)
    for name in ("first", "keyless"):
        await store.leave(name, name)
    assert (await store.put(job("second"), KEY, attended=True) == "first") == kept
    with pytest.raises(UnknownJob):
        await store.summary("keyless")


async def test_leaving_an_unattended_job_changes_nothing(store: Store) -> None:
    await store.put(job("j"))
    await store.leave("j", "j")
    await store.leave("nobody", "j")
    assert (await claim(store)).job.id == "j"


async def test_a_standing_tells_all_but_the_images(store: Store) -> None:
    whole = replace(job("j", B, priority=1), owner="someone", model="tiny", cost=77)
    await store.put(whole)
    summary = await store.summary("j")
    for name in ("id", "model", "checkpoint", "owner", "priority", "cost", "deadline"):
        assert getattr(summary, name) == getattr(whole, name)
    assert (summary.kind, summary.status, summary.progress) == ("samples", "queued", 0.0)
    assert (summary.created_at, summary.started_at, summary.finished_at) == (1_000.0, None, None)
    held = await claim(store, B)
    await store.report(held, 0.5)
    assert (await store.summary("j")).progress == 0.5
    await store.complete(held, RESULT)
    summary = await store.summary("j")
    assert (summary.status, summary.progress, summary.finished_at) == ("succeeded", 1.0, 1_000.0)


async def test_jobs_are_listed_by_owner_and_status_the_latest_first(store: Store) -> None:
    for name, owner in (("a1", "a"), ("b1", "b"), ("a2", "a"), ("a3", "a")):
        await store.put(replace(job(name), owner=owner))
    await claim(store)

    async def names(
        owner: str | None, status: str | None = None, limit: int = 9, before: int | None = None
    ) -> list[str]:
        page = await store.jobs(owner, status, limit, before)  # type: ignore[arg-type]
        assert page.before is None or len(page.jobs) == limit
        return [one.id for one in page.jobs]

    assert await names("a") == ["a3", "a2", "a1"]
    assert await names("b") == ["b1"]
    assert await names("c") == []
    assert await names(None) == ["a3", "a2", "b1", "a1"]
    assert await names("a", "queued") == ["a3", "a2"]
    assert await names(None, "running") == ["a1"]
    assert await names("a", limit=2) == ["a3", "a2"]
    place = (await store.summary("a2")).place
    assert await names("a", before=place) == ["a1"]
    await store.cancel("a3")
    await store.forget("a3")
    assert await names("a") == ["a2", "a1"]


async def test_watchers_are_told_of_each_advance_and_the_end(store: Store) -> None:
    await store.put(job("j"))
    watch = store.watch("j", None)
    assert await asyncio.wait_for(anext(watch), 5) == Advance(0, 0.0, b"")
    held = await claim(store)
    assert await store.report(held, 0.25, b"png")
    assert await asyncio.wait_for(anext(watch), 5) == Advance(1, 0.25, b"png")
    assert await store.report(held, 0.5)
    await store.complete(held, RESULT)
    rest = [one async for one in watch]
    assert rest == [Advance(2, 0.5, b""), End(3, "succeeded")] or rest == [End(3, "succeeded")]


async def test_nobody_who_does_not_watch_costs_anything(store: Store) -> None:
    await store.put(job("j"))
    held = await claim(store)
    assert not await store.report(held, 0.25, b"png")
    assert await heard(store, 1) == [Advance(0, 0.25, b"")]


async def test_a_watcher_goes_on_where_it_was(store: Store) -> None:
    await store.put(job("j"))
    watch = store.watch("j", None)
    await anext(watch)
    held = await claim(store)
    for number in range(1, 4):
        await store.report(held, number / 10)
    assert await heard(store, 2, after=1) == [Advance(2, 0.2, b""), Advance(3, 0.3, b"")]
    await store.complete(held, RESULT)
    assert await heard(store, 1, after=3) == [End(4, "succeeded")]
    assert await heard(store, 1, after=4) == [End(4, "succeeded")]
    assert [type(one) for one in await heard(store, 3, after=99)] == [Reset, Advance, End]
    await watch.aclose()  # type: ignore[attr-defined]


async def test_a_watcher_who_was_away_for_long_starts_again(store: Store) -> None:
    await store.put(job("j"))
    watch = store.watch("j", None)
    await anext(watch)
    held = await claim(store)
    for number in range(1, RECENT + 3):
        await store.report(held, number / 100, b"latest")
    now = Advance(RECENT + 2, (RECENT + 2) / 100, b"latest")
    assert await heard(store, 2, after=1) == [Reset(RECENT + 2), now]
    await watch.aclose()  # type: ignore[attr-defined]


async def test_a_job_that_begins_anew_tells_its_watchers(store: Store) -> None:
    await store.put(job("j"))
    watch = store.watch("j", None)
    await anext(watch)
    held = await claim(store)
    await store.report(held, 0.25)
    assert await anext(watch) == Advance(1, 0.25, b"")
    await store.release(held)
    assert await asyncio.wait_for(anext(watch), 5) == Reset(2)
    assert await anext(watch) == Advance(2, 0.0, b"")
    await watch.aclose()  # type: ignore[attr-defined]


async def test_watching_nobody_is_an_error(store: Store) -> None:
    with pytest.raises(UnknownJob):
        await heard(store, 1)


async def test_waiting_work_is_bounded_by_cost_too(store: Store, clock: FakeClock) -> None:
    def costly(name: str, cost: int) -> object:
        return store.put(replace(job(name), cost=cost))

    await costly("alone", 5 * CAPACITY_COST)
    for name in ("more", "even more"):
        with pytest.raises(QueueFull, match="row-evaluations wait"):
            await costly(name, 1)
    await store.complete(await claim(store), RESULT)
    await costly("half", CAPACITY_COST // 2)
    await costly("other half", CAPACITY_COST // 2)
    with pytest.raises(QueueFull):
        await costly("too much", 1)
    clock.now += 10
    await store.complete(await claim(store), RESULT)
    await costly("half again", CAPACITY_COST // 2)
    with pytest.raises(QueueFull) as refusal:
        await costly("too much", 1)
    # Half of what may wait took ten seconds.
    assert refusal.value.retry_after == 20
    await store.cancel("half again")
    await costly("in its place", CAPACITY_COST // 2)
    held = await claim(store)
    await costly("and of what runs", CAPACITY_COST // 2)
    await store.release(held)
    with pytest.raises(QueueFull):
        await costly("too much", 1)


async def test_room_is_seen_before_a_job_is_made(store: Store) -> None:
    await store.check_capacity("", 5 * CAPACITY_COST)
    await store.put(replace(job("half"), cost=CAPACITY_COST // 2))
    await store.check_capacity("", CAPACITY_COST // 2)
    with pytest.raises(QueueFull, match="row-evaluations wait"):
        await store.check_capacity("", CAPACITY_COST // 2 + 1)
    for number in range(CAPACITY - 1):
        await store.put(job(str(number)))
    with pytest.raises(QueueFull, match="jobs wait"):
        await store.check_capacity("", 1)


async def test_an_expired_result_is_gone_and_its_job_known(store: Store) -> None:
    await store.put(job("j"))
    await store.expire("j")
    held = await claim(store, A)
    await store.expire("j")
    await store.complete(held, RESULT)
    assert is_result((await store.record("j")).outcome)
    for _ in range(2):
        await store.expire("j")
        with pytest.raises(ResultExpired):
            await store.record("j")
        assert (await store.summary("j")).status == "succeeded"


async def test_the_load_is_what_waits_runs_and_drains(store: Store, clock: FakeClock) -> None:
    assert await store.load() == Load(0, 0, (await store.load()).done, 0, 0.0)
    for name in ("a", "b", "c"):
        await store.put(replace(job(name), cost=100))
    held = await claim(store)
    clock.now += 5.0
    waiting = await store.load()
    assert (waiting.jobs, waiting.cost, waiting.running, waiting.dead_letters) == (2, 200, 1, 0)
    assert waiting.drain_rate == 0.0
    await store.complete(held, RESULT)
    drained = await store.load()
    assert (drained.jobs, drained.running) == (2, 0)
    assert drained.drain_rate == pytest.approx(100 / 5.0)
    await store.release(await claim(store))
    assert (await store.load()).jobs == 2
    for _ in range(2):
        await store.complete(await claim(store), RESULT)
    emptied = await store.load()
    assert (emptied.jobs, emptied.cost, emptied.running, emptied.drain_rate) == (0, 0, 0, 0.0)
