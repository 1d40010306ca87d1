"""What every store promises."""

import asyncio
from dataclasses import replace

import pytest
from store_setup import (
    CAPACITY,
    RESULT,
    RETAINED,
    RETENTION_S,
    UNREAD_S,
    WORK,
    A,
    B,
    FakeClock,
    alike,
    claim,
    is_result,
    job,
    nothing_to_claim,
)

from service.errors import (
    ComputationFailed,
    DeadlineExceeded,
    JobCancelled,
    QueueFull,
    ResultExpired,
    UnknownJob,
)
from service.store.base import Claim, Store
from service.store.bounds import REMEMBERED_S

pytestmark = pytest.mark.anyio


async def test_a_job_goes_from_queued_through_running_to_its_result(
    store: Store, clock: FakeClock
) -> None:
    await store.put(job("j"))
    assert (await store.record("j")).status == "queued"
    clock.now += 2
    held = await claim(store)
    assert held.job == job("j")
    await store.report(held, 0.25)
    record = await store.record("j")
    assert (record.status, record.progress, record.started_at) == ("running", 0.25, 1_002.0)
    clock.now += 3
    assert await store.complete(held, RESULT)
    record = await store.wait("j")
    assert (record.status, record.progress, record.finished_at) == ("succeeded", 1.0, 1_005.0)
    assert is_result(record.outcome)


@pytest.mark.parametrize("kind", WORK)
async def test_every_kind_of_work_is_carried_there_and_back(store: Store, kind: str) -> None:
    task, result = WORK[kind]
    await store.put(replace(job("j"), task=task, model="tiny", cost=70))
    summary = await store.summary("j")
    assert (summary.kind, summary.model, summary.cost) == (kind, "tiny", 70)
    held = await claim(store)
    assert alike(held.job.task, task)
    assert await store.complete(held, result)
    record = await store.wait("j")
    assert alike(record.job.task, task)
    assert alike(record.outcome, result)


async def test_claims_wait_for_jobs_of_their_checkpoints(store: Store) -> None:
    await store.put(job("other", B))
    waiting = asyncio.ensure_future(store.claim((A,)))
    await asyncio.sleep(0)
    assert not waiting.done()
    await store.put(job("mine", A))
    assert (await asyncio.wait_for(waiting, 1)).job.id == "mine"
    assert (await claim(store, A, B)).job.id == "other"


async def test_highest_priority_first_then_oldest_across_checkpoints(store: Store) -> None:
    await store.put(job("first", A))
    await store.put(job("second", B))
    await store.put(job("urgent", B, priority=1))
    await store.put(job("third", A))
    order = [(await claim(store, A, B)).job.id for _ in range(4)]
    assert order == ["urgent", "first", "second", "third"]


async def test_a_checkpoint_has_jobs_until_the_last_has_ended(store: Store) -> None:
    assert not await store.has_jobs(A)
    await store.put(job("waits"))
    await store.put(job("other", B))
    assert await store.has_jobs(A)
    held = await claim(store)
    assert await store.has_jobs(A)
    await store.release(held)
    assert await store.has_jobs(A)
    assert await store.complete(await claim(store), RESULT)
    assert not await store.has_jobs(A)
    assert await store.has_jobs(B)


async def test_each_job_is_claimed_once_by_many(store: Store) -> None:
    claims = [asyncio.ensure_future(store.claim((A,))) for _ in range(3)]
    await asyncio.sleep(0)
    for name in "xyz":
        await store.put(job(name))
    held = await asyncio.wait_for(asyncio.gather(*claims), 1)
    assert {claim.job.id for claim in held} == {"x", "y", "z"}
    assert await nothing_to_claim(store)


async def test_a_claim_that_is_given_up_takes_no_job_with_it(store: Store) -> None:
    assert await nothing_to_claim(store)
    await store.put(job("j"))
    assert (await claim(store)).job.id == "j"


async def test_the_queue_is_bounded_and_claiming_makes_room(store: Store) -> None:
    for number in range(CAPACITY):
        await store.put(job(str(number)))
    with pytest.raises(QueueFull) as refusal:
        await store.put(job("more"))
    assert refusal.value.retry_after >= 1
    with pytest.raises(UnknownJob):
        await store.record("more")
    await claim(store)
    await store.put(job("more"))


async def test_cancelling_a_waiting_job_makes_room(store: Store) -> None:
    for number in range(CAPACITY):
        await store.put(job(str(number)))
    await store.cancel("0")
    await store.cancel("0")
    await store.put(job("more"))
    with pytest.raises(QueueFull):
        await store.put(job("too many"))
    assert (await claim(store)).job.id == "1"


async def test_a_job_completes_once(store: Store) -> None:
    await store.put(job("j"))
    held = await claim(store)
    assert await store.complete(held, RESULT)
    assert not await store.complete(held, ComputationFailed("late"))
    assert is_result((await store.record("j")).outcome)


async def test_a_released_job_keeps_its_place_and_its_old_claim_is_void(store: Store) -> None:
    await store.put(job("first"))
    await store.put(job("second"))
    stale = await claim(store)
    await store.report(stale, 0.5)
    await store.release(stale)
    record = await store.record("first")
    assert (record.status, record.progress, record.started_at) == ("queued", 0.0, None)
    fresh = await claim(store)
    assert fresh.job.id == "first"
    assert fresh.epoch > stale.epoch
    await store.release(stale)
    await store.report(stale, 0.9)
    assert not await store.complete(stale, RESULT)
    record = await store.record("first")
    assert (record.status, record.progress) == ("running", 0.0)
    assert await store.complete(fresh, RESULT)


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (ComputationFailed("not finite"), "failed"),
        (DeadlineExceeded("late"), "timed-out"),
        (JobCancelled("unwanted"), "cancelled"),
    ],
)
async def test_an_error_is_an_outcome(
    store: Store, outcome: ComputationFailed, status: str
) -> None:
    await store.put(job("j"))
    held = await claim(store)
    await store.report(held, 0.5)
    await store.complete(held, outcome)
    record = await store.wait("j")
    assert (record.status, record.progress) == (status, 0.5)
    assert type(record.outcome) is type(outcome)


async def test_workers_hear_of_running_jobs_that_are_cancelled(store: Store) -> None:
    heard = [store.cancellations(), store.cancellations()]
    await store.put(job("running"))
    await store.put(job("waiting"))
    held = await claim(store)
    await store.cancel("waiting")
    await store.cancel("running")
    for ear in heard:
        assert await asyncio.wait_for(anext(ear), 1) == "running"
    assert not await store.complete(held, RESULT)
    for name in ("waiting", "running"):
        record = await store.wait(name)
        assert record.status == "cancelled"
        assert isinstance(record.outcome, JobCancelled)


async def test_cancelling_an_ended_job_changes_nothing(store: Store) -> None:
    await store.put(job("j"))
    await store.complete(await claim(store), RESULT)
    await store.cancel("j")
    assert (await store.record("j")).status == "succeeded"


async def test_all_who_wait_are_told(store: Store) -> None:
    await store.put(job("j"))
    waiters = [asyncio.ensure_future(store.wait("j")) for _ in range(3)]
    held = await claim(store)
    await asyncio.sleep(0)
    assert not any(waiter.done() for waiter in waiters)
    await store.complete(held, RESULT)
    records = await asyncio.wait_for(asyncio.gather(*waiters), 1)
    assert {record.status for record in records} == {"succeeded"}


async def test_a_job_past_its_deadline_is_not_handed_out(store: Store, clock: FakeClock) -> None:
    await store.put(job("late", deadline=clock.now + 5))
    await store.put(job("in time", deadline=clock.now + 50))
    clock.now += 5
    assert (await claim(store)).job.id == "in time"
    record = await store.wait("late")
    assert record.status == "timed-out"
    assert isinstance(record.outcome, DeadlineExceeded)


async def test_a_sweep_ends_what_waits_past_its_deadline(store: Store, clock: FakeClock) -> None:
    await store.put(job("late", deadline=clock.now + 5))
    await store.put(job("running", deadline=clock.now + 5, priority=1))
    await store.put(job("in time", deadline=clock.now + 50))
    held = await claim(store)
    waiter = asyncio.ensure_future(store.wait("late"))
    await store.sweep()
    assert (await store.record("late")).status == "queued"
    clock.now += 5
    await store.sweep()
    assert (await asyncio.wait_for(waiter, 5)).status == "timed-out"
    assert (await claim(store)).job.id == "in time"
    assert await store.complete(held, RESULT)


async def test_renewing_tells_which_jobs_are_no_longer_held(store: Store) -> None:
    for name in ("kept", "ended", "cancelled", "released"):
        await store.put(job(name))
    held = [await claim(store) for _ in range(4)]
    assert await store.renew(held) == []
    await store.complete(held[1], RESULT)
    await store.cancel("cancelled")
    await store.release(held[3])
    assert await store.renew(held) == held[1:]
    again = await claim(store)
    assert again.company is None
    assert await store.renew([held[3], again]) == [held[3]]


async def test_an_ended_job_can_be_forgotten_and_no_other(store: Store) -> None:
    await store.put(job("j"))
    await store.forget("j")
    held = await claim(store)
    await store.forget("j")
    assert (await store.record("j")).status == "running"
    await store.complete(held, RESULT)
    await store.forget("j")
    await store.forget("j")
    with pytest.raises(UnknownJob):
        await store.record("j")


async def test_results_are_kept_by_number_and_time(store: Store, clock: FakeClock) -> None:
    names = [str(number) for number in range(RETAINED + 2)]
    for name in names:
        await store.put(job(name))
        await store.complete(await claim(store), RESULT)
        clock.now += UNREAD_S
    for name in names[:2]:
        with pytest.raises(ResultExpired):
            await store.record(name)
        assert (await store.summary(name)).status == "succeeded"
    for name in names[2:]:
        assert (await store.record(name)).status == "succeeded"
    clock.now += RETENTION_S + 1
    for call in (store.record, store.wait):
        with pytest.raises(ResultExpired):
            await call(names[-1])
    assert (await store.summary(names[-1])).status == "succeeded"
    clock.now += REMEMBERED_S
    with pytest.raises(UnknownJob):
        await store.summary(names[-1])


async def test_time_to_try_again_is_the_time_to_drain(store: Store, clock: FakeClock) -> None:
    clock.now += 100_000
    for number in range(CAPACITY):
        await store.put(job(str(number), deadline=1e11))
    for number in range(CAPACITY, CAPACITY + 6):
        clock.now += 10
        await store.complete(await claim(store), RESULT)
        await store.put(job(str(number), deadline=1e11))
    for _ in range(3):
        await store.cancel(str(number))
        await store.put(job("unwanted", deadline=1e11))
        await store.cancel("unwanted")
        await store.put(job(str(number), deadline=1e11))
    with pytest.raises(QueueFull) as refusal:
        await store.put(job("more"))
    assert refusal.value.retry_after == 10 * CAPACITY


async def test_unknown_jobs_are_unknown(store: Store) -> None:
    for call in (store.record, store.summary, store.wait, store.cancel):
        with pytest.raises(UnknownJob):
            await call("nobody")
    ghost = Claim(job("nobody"), 1)
    assert not await store.complete(ghost, RESULT)
    await store.report(ghost, 0.5)
    await store.release(ghost)
    assert await nothing_to_claim(store)


async def test_forgotten_jobs_do_not_displace_remembered_ones(
    store: Store, clock: FakeClock
) -> None:
    await store.put(job("kept"))
    await store.complete(await claim(store), RESULT)
    clock.now += UNREAD_S
    for number in range(2 * RETAINED):
        await store.put(job(str(number)))
        await store.complete(await claim(store), RESULT)
        await store.forget(str(number))
    assert (await store.record("kept")).status == "succeeded"


async def test_nothing_is_kept_of_jobs_that_are_gone(store: Store, clock: FakeClock) -> None:
    for number in range(1_000):
        name = str(number)
        await store.put(replace(job(name), checkpoint=A))
        if number % 2:
            await store.cancel(name)
        else:
            await store.complete(await claim(store), RESULT)
        await store.forget(name)
    assert await nothing_to_claim(store)
    for number in range(CAPACITY):
        await store.put(job(str(number)))
