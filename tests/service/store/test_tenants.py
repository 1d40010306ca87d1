"""What owners of jobs may do to each other in a store: nothing. Held by both stores."""

from collections.abc import Sequence

import pytest
from store_setup import (
    CAPACITY,
    CAPACITY_COST,
    RESULT,
    RETAINED,
    RETAINED_BYTES,
    RETENTION_S,
    UNREAD_S,
    A,
    B,
    FakeClock,
    claim,
    job,
)

from service.errors import InvalidRequest, QueueFull, ResultExpired
from service.store.base import Key, Store

pytestmark = pytest.mark.anyio


async def order(store: Store, count: int, *checkpoints: str) -> list[str]:
    """Ids of the next `count` jobs, as they are claimed."""
    return [(await claim(store, *checkpoints)).job.id for _ in range(count)]


async def finish(store: Store, names: Sequence[str], owner: str) -> None:
    for name in names:
        await store.put(job(name, owner=owner))
        await store.complete(await claim(store), RESULT)


async def test_a_full_queue_lets_in_an_owner_that_has_less_than_its_share(store: Store) -> None:
    for number in range(CAPACITY):
        await store.put(job(f"flood {number}", owner="flood"))
    with pytest.raises(QueueFull):
        await store.check_capacity("flood", 1)
    for number in range(CAPACITY // 2):
        await store.check_capacity("other", 1)
        await store.put(job(f"other {number}", owner="other"))
    with pytest.raises(QueueFull, match="shares the queue with 1 more"):
        await store.put(job("other more", owner="other"))
    await store.put(job("third", owner="third"))


async def test_the_cost_that_may_wait_is_shared_too(store: Store) -> None:
    await store.put(job("flood", owner="flood", cost=CAPACITY_COST))
    with pytest.raises(QueueFull):
        await store.put(job("flood more", owner="flood", cost=1))
    await store.put(job("other", owner="other", cost=CAPACITY_COST // 4))
    await store.put(job("other more", owner="other", cost=CAPACITY_COST // 4))
    with pytest.raises(QueueFull):
        await store.put(job("other much more", owner="other", cost=1))


async def test_an_owner_whose_jobs_have_begun_has_its_share_again(store: Store) -> None:
    for number in range(CAPACITY):
        await store.put(job(f"flood {number}", owner="flood"))
    await store.put(job("other", owner="other"))
    with pytest.raises(QueueFull):
        await store.check_capacity("flood", 1)
    await order(store, CAPACITY + 1)
    await store.put(job("flood again", owner="flood"))


async def test_owners_take_turns_whatever_their_priorities(store: Store) -> None:
    for number in range(3):
        await store.put(job(f"flood {number}", owner="flood", priority=1))
    await store.put(job("other", owner="other", priority=-1))
    assert await order(store, 4) == ["flood 0", "other", "flood 1", "flood 2"]


async def test_turns_go_by_the_cost_of_the_jobs(store: Store) -> None:
    for number in range(2):
        await store.put(job(f"dear {number}", owner="dear", cost=30))
    for number in range(2):
        await store.put(job(f"cheap {number}", owner="cheap", cost=10))
    assert await order(store, 4) == ["dear 0", "cheap 0", "cheap 1", "dear 1"]


async def test_an_owner_that_was_away_has_saved_up_no_turns(store: Store) -> None:
    for number in range(3):
        await store.put(job(f"busy {number}", owner="busy", cost=50))
    assert await order(store, 2) == ["busy 0", "busy 1"]
    for number in range(2):
        await store.put(job(f"late {number}", owner="late", cost=50))
    assert await order(store, 3) == ["late 0", "busy 2", "late 1"]


async def test_priority_and_age_order_one_owners_jobs(store: Store) -> None:
    await store.put(job("low", owner="one", priority=-1))
    await store.put(job("first", owner="one"))
    await store.put(job("second", owner="one", checkpoint=B))
    await store.put(job("high", owner="one", checkpoint=B, priority=1))
    assert await order(store, 4, A, B) == ["high", "first", "second", "low"]


async def test_a_released_job_keeps_its_place_among_its_owners(store: Store) -> None:
    await store.put(job("one", owner="one"))
    held = await claim(store)
    await store.put(job("two", owner="one"))
    await store.release(held)
    assert await order(store, 2) == ["one", "two"]


async def test_an_owners_many_results_displace_its_own(store: Store, clock: FakeClock) -> None:
    await finish(store, ["kept"], "quiet")
    clock.now += UNREAD_S + 1
    flood = [f"flood {number}" for number in range(RETAINED + 2)]
    for name in flood:
        await finish(store, [name], "flood")
        clock.now += UNREAD_S + 1
    assert (await store.record("kept")).status == "succeeded"
    for name in flood[:2]:
        with pytest.raises(ResultExpired):
            await store.record(name)
    for name in flood[2:]:
        assert (await store.record(name)).status == "succeeded"


async def test_past_the_bound_on_bytes_the_owner_with_most_loses_its_oldest(
    store: Store, clock: FakeClock
) -> None:
    # Each small result takes more than the overhead of 2,000 bytes and less than 3,000.
    owners = ["a", "a", "a", "b", "b", "c", "c"]
    assert len(owners) > RETAINED_BYTES // 3_000
    assert RETAINED >= 3
    for number, owner in enumerate(owners):
        await finish(store, [f"{owner} {number}"], owner)
        clock.now += UNREAD_S + 1
    await finish(store, ["c last"], "c")
    with pytest.raises(ResultExpired):
        await store.record("a 0")
    assert (await store.record("b 4")).status == "succeeded"
    assert (await store.record("c last")).status == "succeeded"


async def test_a_result_is_kept_until_it_can_have_been_read(store: Store, clock: FakeClock) -> None:
    names = [str(number) for number in range(4 * RETAINED)]
    await finish(store, names, "one")
    for name in names:
        assert (await store.record(name)).status == "succeeded"
    clock.now += UNREAD_S + 1
    await finish(store, ["next"], "one")
    with pytest.raises(ResultExpired):
        await store.record(names[0])


async def test_what_is_dropped_is_counted_no_longer(store: Store, clock: FakeClock) -> None:
    for _ in range(3):
        await finish(store, [f"old {clock.now} {number}" for number in range(5)], "one")
        clock.now += RETENTION_S + 1
    await finish(store, ["one", "two", "three"], "other")
    clock.now += UNREAD_S + 1
    await finish(store, ["last"], "one")
    for name in ("one", "two", "three", "last"):
        assert (await store.record(name)).status == "succeeded"


async def test_a_known_key_is_told_from_a_new_one(store: Store) -> None:
    key = Key("one POST /v1/samples k", "digest")
    assert not await store.knows(key)
    await store.put(job("one"), key)
    assert await store.knows(key)
    with pytest.raises(InvalidRequest):
        await store.knows(Key(key.scope, "another"))
    await store.cancel("one")
    assert not await store.knows(key)
