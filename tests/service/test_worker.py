"""The worker between a real store and a real engine."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image
from small_engine import CHECKPOINT, CONFIG, images, job, samples, scores
from torch import Tensor

from models.rows.denoiser import Denoiser
from models.rows.rows import Answer, Condition, Query
from models.schema.specs import Ddpm
from service.engine.scheduler import SchedulerLimits
from service.engine.thread import EngineThread
from service.errors import ComputationFailed, DeadlineExceeded, JobCancelled, StoreUnavailable
from service.jobs import Job, Outcome
from service.kinds.samples.task import SampleResult, SampleTask
from service.reports import REPORT_EVERY
from service.rows import Served
from service.store.base import ANY_ROOM, Claim, JobRecord, Room
from service.store.bounds import Bounds
from service.store.memory import MemoryStore
from service.store.news import Advance, End
from service.telemetry.observers import JobObserver, Observers
from service.worker import Worker

pytestmark = pytest.mark.anyio
SOON = 60.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Flaky(MemoryStore):
    """A store that is away for the next `failures` calls of a worker."""

    def __init__(self) -> None:
        super().__init__(Bounds(capacity=100, retained=100, retention_s=100.0))
        self.failures = 0
        self.claimed = 0
        self.reports: list[float] = []

    async def on_its_way(self, claim: Claim) -> None:
        """What happens between a claim and its worker's hearing of it."""

    async def claim(self, checkpoints: Collection[str], room: Room = ANY_ROOM) -> Claim:
        self._fail()
        claim = await super().claim(checkpoints, room)
        self.claimed += 1
        await self.on_its_way(claim)
        return claim

    async def report(self, claim: Claim, progress: float, preview: bytes = b"") -> bool:
        self._fail()
        self.reports.append(progress)
        return await super().report(claim, progress, preview)

    async def complete(self, claim: Claim, outcome: Outcome) -> bool:
        self._fail()
        return await super().complete(claim, outcome)

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("gone fishing")


class Counted:
    """A denoiser that takes its time and counts its calls."""

    PACE_S = 0.1

    def __init__(self, inner: Denoiser) -> None:
        self.inner, self.config, self.quantum = inner, inner.config, inner.quantum
        self.calls = 0

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        self.calls += 1
        time.sleep(self.PACE_S)
        return self.inner.evaluate(query, condition)

    def encode(self, x: Tensor) -> Tensor:
        return self.inner.encode(x)

    def condition(self, latent: Tensor) -> Condition:
        return self.inner.condition(latent)


@pytest.fixture
def store() -> Flaky:
    return Flaky()


@asynccontextmanager
async def working(
    store: Flaky, models: Mapping[str, Served], within: float = SOON, **options: Any
) -> AsyncIterator[Worker]:
    worker = Worker(store, models, SchedulerLimits(), **options)
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop(within)


async def soon(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0.005)


async def ended(store: Flaky, name: str) -> JobRecord:
    async with asyncio.timeout(SOON):
        return await store.wait(name)


async def status(store: Flaky, name: str) -> str:
    return (await store.record(name)).status


LONG = Ddpm(steps=1000)


async def test_jobs_are_claimed_run_and_completed(
    store: Flaky, models: Mapping[str, Served]
) -> None:
    await store.put(samples("before", Ddpm(steps=3), 2))
    async with working(store, models) as worker:
        await store.put(samples("after", Ddpm(steps=3), 2))
        for name in ("before", "after"):
            assert isinstance((await ended(store, name)).outcome, SampleResult)
        assert worker.alive
        assert worker.jobs == 0
    assert not worker.alive


async def test_jobs_of_other_checkpoints_stay_in_the_store(
    store: Flaky, models: Mapping[str, Served]
) -> None:
    await store.put(job("theirs", SampleTask(Ddpm(steps=3), 1, 1), checkpoint="f" * 64))
    await store.put(samples("ours", Ddpm(steps=3), 1))
    async with working(store, models):
        await ended(store, "ours")
        assert await status(store, "theirs") == "queued"


async def test_failure_and_deadline_reach_the_store(
    store: Flaky, models: Mapping[str, Served]
) -> None:
    async with working(store, models):
        await store.put(job("late", SampleTask(LONG, 1, 64), deadline=time.time() + 0.2))
        record = await ended(store, "late")
    assert record.status == "timed-out"
    assert isinstance(record.outcome, DeadlineExceeded)


async def test_progress_is_reported_but_not_at_every_tick(
    store: Flaky, models: Mapping[str, Served]
) -> None:
    began = time.monotonic()
    async with working(store, models):
        await store.put(samples("a", Ddpm(steps=150), 8))
        await ended(store, "a")
    most = 1 + (time.monotonic() - began) / REPORT_EVERY
    assert store.reports == sorted(set(store.reports))
    assert 1 <= len(store.reports) <= most


async def test_who_watches_sees_the_images_become(
    store: Flaky, models: Mapping[str, Served]
) -> None:
    async with working(store, models):
        await store.put(samples("long", Ddpm(steps=600), 3))
        news = [one async for one in store.watch("long", None)]
    assert news[-1] == End(news[-1].number, "succeeded")
    advances = [one for one in news if isinstance(one, Advance)]
    assert [one.number for one in advances] == sorted({one.number for one in advances})
    pictures = [one.preview for one in advances if one.preview]
    assert len(set(pictures)) > 1
    with Image.open(io.BytesIO(pictures[0])) as picture:
        assert picture.format == "PNG"
        assert picture.width >= 2 * CONFIG.image_shape[1]


async def test_scores_are_watched_without_pictures(
    store: Flaky, models: Mapping[str, Served]
) -> None:
    async with working(store, models):
        await store.put(scores("scores", images(8), draws=4, tolerance_nats=1e-3))
        news = [one async for one in store.watch("scores", None)]
    assert isinstance(news[-1], End)
    assert all(not one.preview for one in news if isinstance(one, Advance))


async def test_a_cancelled_job_makes_room(store: Flaky, models: Mapping[str, Served]) -> None:
    async with working(store, models, max_jobs=1) as worker:
        await store.put(samples("long", LONG, 64))
        await soon(lambda: worker.jobs == 1)
        await store.put(samples("next", Ddpm(steps=2), 2))
        await store.cancel("long")
        assert isinstance((await ended(store, "next")).outcome, SampleResult)
    assert isinstance((await store.record("long")).outcome, JobCancelled)


async def test_work_stops_within_one_evaluation_of_the_last_who_leaves(
    store: Flaky, served: Served
) -> None:
    counted = Counted(served.denoiser)
    async with working(store, {CHECKPOINT: served._replace(denoiser=counted)}) as worker:
        await store.put(samples("j", LONG, 4), attended=True)
        await soon(lambda: counted.calls >= 3)
        await store.leave("j", "j")
        called = counted.calls
        await soon(lambda: worker.jobs == 0)
        await asyncio.sleep(3 * Counted.PACE_S)
        assert counted.calls <= called + 1


async def test_a_job_that_is_cancelled_while_it_is_claimed_never_runs(
    store: Flaky, models: Mapping[str, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cancelled(claim: Claim) -> None:
        if claim.job.id == "gone":
            await store.cancel("gone")
            await asyncio.sleep(0.05)

    monkeypatch.setattr(store, "on_its_way", cancelled)
    async with working(store, models) as worker:
        await asyncio.sleep(0)
        await store.put(samples("gone", LONG, 64))
        await store.put(samples("next", Ddpm(steps=2), 2))
        assert isinstance((await ended(store, "next")).outcome, SampleResult)
        assert worker.jobs == 0
        assert store.claimed == 2


async def test_what_exceeds_the_backlog_waits_in_the_store(
    store: Flaky, models: Mapping[str, Served]
) -> None:
    for name in ("a", "b", "c"):
        await store.put(samples(name, LONG, 4))
    async with working(store, models, within=0.0, max_jobs=2) as worker:
        await soon(lambda: worker.jobs == 2)
        await asyncio.sleep(0.05)
        assert store.claimed == 2
        assert await status(store, "c") == "queued"


async def test_a_store_that_is_away_is_tried_again(
    store: Flaky, models: Mapping[str, Served]
) -> None:
    store.failures = 2
    async with working(store, models):
        await store.put(samples("a", Ddpm(steps=3), 2))
        await soon(lambda: store.claimed == 1)
        store.failures = 1
        assert isinstance((await ended(store, "a")).outcome, SampleResult)
    assert store.failures == 0


async def test_draining_finishes_what_is_held_and_claims_no_more(
    store: Flaky, models: Mapping[str, Served]
) -> None:
    worker = Worker(store, models)
    await worker.start()
    await store.put(samples("held", Ddpm(steps=40), 8))
    await soon(lambda: worker.jobs == 1)
    stopping = asyncio.create_task(worker.stop(SOON))
    await asyncio.sleep(0)
    await store.put(samples("too late", Ddpm(steps=2), 2))
    await stopping
    assert await status(store, "held") == "succeeded"
    assert await status(store, "too late") == "queued"


async def test_what_cannot_finish_in_time_is_handed_back(
    store: Flaky, models: Mapping[str, Served]
) -> None:
    async with working(store, models, within=0.05) as worker:
        await store.put(samples("long", LONG, 64))
        await soon(lambda: worker.jobs == 1)
    assert await status(store, "long") == "queued"
    assert (await store.claim((CHECKPOINT,))).epoch == 2


async def test_an_error_that_nobody_expected_ends_no_loop(
    store: Flaky,
    models: Mapping[str, Served],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    real, errors = store.claim, [KeyError("a bug"), KeyError("a bug")]

    async def broken(checkpoints: Collection[str], room: Room) -> Claim:
        if errors:
            raise errors.pop()
        return await real(checkpoints, room)

    monkeypatch.setattr(store, "claim", broken)
    monkeypatch.setattr("service.store.retry.LAST_BACKOFF", 0.05)
    await store.put(samples("j", Ddpm(steps=3), 2))
    async with working(store, models) as worker:
        assert isinstance((await ended(store, "j")).outcome, SampleResult)
        assert worker.alive
    assert caplog.text.count("claim loop failed, and goes on") == 1


async def test_a_job_that_cannot_begin_fails_alone(
    store: Flaky, models: Mapping[str, Served]
) -> None:
    class Surprised(JobObserver):
        def claimed(self, job: Job, waited: float) -> None:
            if job.id == "odd":
                raise KeyError(job.id)

    await store.put(samples("odd", Ddpm(steps=3), 2))
    await store.put(samples("even", Ddpm(steps=3), 2))
    async with working(store, models, observers=Observers(Surprised())):
        assert isinstance((await ended(store, "even")).outcome, SampleResult)
        assert isinstance((await ended(store, "odd")).outcome, ComputationFailed)


class Leasing(Flaky):
    """Hands out jobs called `suspect` as held before by a worker that died, with the number of jobs
    that may be together as their model; tells what it heard."""

    def __init__(self) -> None:
        super().__init__()
        self.renewed: list[set[str]] = []
        self.lost: set[str] = set()

    async def claim(self, checkpoints: Collection[str], room: Room = ANY_ROOM) -> Claim:
        while True:
            claim = await super().claim(checkpoints, room)
            if not claim.job.id.startswith("suspect"):
                return claim
            company = int(claim.job.model)
            if room.held < company:
                return replace(claim, company=company)
            await self.release(claim)
            if room.patience:
                await room.make(company)
            else:
                await asyncio.sleep(0.01)

    async def renew(self, claims: Collection[Claim]) -> list[Claim]:
        self.renewed.append({claim.job.id for claim in claims})
        return [claim for claim in claims if claim.job.id in self.lost]


def suspect(company: int, name: str = "suspect", rows: int = 8, steps: int = 60) -> Job:
    return replace(samples(name, Ddpm(steps=steps), rows), model=str(company))


async def test_a_suspect_runs_alone(models: Mapping[str, Served]) -> None:
    store = Leasing()
    await store.put(samples("before", Ddpm(steps=60), 8))
    await store.put(suspect(1))
    await store.put(samples("after", Ddpm(steps=60), 8))
    async with working(store, models):
        await ended(store, "after")
    records = [await store.record(name) for name in ("before", "suspect", "after")]
    ends = [record.finished_at or 0.0 for record in records]
    assert ends == sorted(ends)
    assert records[2].started_at is not None
    assert records[2].started_at >= ends[1]
    assert {record.status for record in records} == {"succeeded"}


async def test_suspects_run_with_no_more_beside_them_than_they_may(
    models: Mapping[str, Served],
) -> None:
    store, most = Leasing(), 0
    for number in range(3):
        await store.put(suspect(3, f"suspect {number}"))
    for number in range(5):
        await store.put(samples(f"j{number}", Ddpm(steps=60), 8))

    def count() -> bool:
        nonlocal most
        names = list(worker._held.running)
        if any(name.startswith("suspect") for name in names):
            most = max(most, len(names))
        return False

    async with working(store, models) as worker:
        await soon(lambda: count() or (not worker.jobs and store.claimed == 8))
    assert most == 3


async def test_a_suspect_that_no_worker_has_room_for_keeps_its_deadline(
    models: Mapping[str, Served],
) -> None:
    store = Leasing()
    await store.put(samples("long", LONG, 64))
    await store.put(replace(suspect(1), deadline=time.time() + 1.0))
    async with working(store, models, within=0.0, renew_every=0.1, patience=0.2):
        await soon(lambda: store.claimed >= 1)
        await asyncio.sleep(1.1)
        await store.sweep()
        record = await ended(store, "suspect")
        assert record.status == "timed-out"
        assert await status(store, "long") == "running"


async def test_after_a_wait_in_vain_others_are_claimed(models: Mapping[str, Served]) -> None:
    store = Leasing()
    await store.put(samples("long", LONG, 64))
    await store.put(suspect(1))
    async with working(store, models, within=0.0, patience=0.1) as worker:
        await soon(lambda: worker.jobs == 1)
        await store.put(replace(samples("other", Ddpm(steps=3), 1), priority=1))
        await ended(store, "other")
        assert await status(store, "long") == "running"


async def test_what_is_held_is_renewed_and_what_was_lost_is_dropped(
    models: Mapping[str, Served],
) -> None:
    store = Leasing()
    await store.put(samples("kept", LONG, 8))
    await store.put(samples("lost", LONG, 8))
    worker = Worker(store, models, renew_every=0.02)
    await worker.start()
    await soon(lambda: {"kept", "lost"} in store.renewed)
    store.lost.add("lost")
    await soon(lambda: worker.jobs == 1)
    await soon(lambda: store.renewed[-1] == {"kept"})
    await worker.stop(0.0)


async def test_what_could_not_be_renewed_is_renewed_as_soon_as_the_store_is_back(
    models: Mapping[str, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Leasing()
    tries = 0
    renew = store.renew

    async def away_for_a_while(claims: Collection[Claim]) -> list[Claim]:
        nonlocal tries
        tries += 1
        if tries in (2, 3):
            raise StoreUnavailable("gone fishing")
        return await renew(claims)

    monkeypatch.setattr(store, "renew", away_for_a_while)
    await store.put(samples("long", LONG, 8))
    every = 1.0
    async with working(store, models, within=0.0, renew_every=every):
        await soon(lambda: tries == 2)
        failed = time.monotonic()
        await soon(lambda: tries == 4)
        assert time.monotonic() - failed < every
        back = time.monotonic()
        await soon(lambda: tries == 5)
        assert time.monotonic() - back > 0.9 * every


@pytest.mark.parametrize("how", ["silent", "refusing"])
async def test_a_part_that_is_away_keeps_no_lease_of_the_others_from_renewal(
    models: Mapping[str, Served], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """One that is silent would keep each renewal waiting for as long as an answer may take."""
    store = Leasing()
    renew = store.renew

    async def away_in_part(claims: Collection[Claim]) -> list[Claim]:
        if any(claim.job.id == "away" for claim in claims):
            await asyncio.sleep(3600 if how == "silent" else 0)
            raise StoreUnavailable("gone fishing")
        return await renew(claims)

    monkeypatch.setattr(store, "part", lambda name: int(name == "away"))
    monkeypatch.setattr(store, "renew", away_in_part)
    for name in ("away", "near"):
        await store.put(samples(name, LONG, 8))
    async with working(store, models, within=0.0, renew_every=0.02) as worker:
        await soon(lambda: worker.jobs == 2)
        store.renewed.clear()
        await soon(lambda: len(store.renewed) > 5)
        assert all(renewed == {"near"} for renewed in store.renewed)
        assert worker.alive


async def test_a_result_on_its_way_is_renewed_too(models: Mapping[str, Served]) -> None:
    store = Leasing()
    await store.put(samples("a", Ddpm(steps=2), 2))
    worker = Worker(store, models, renew_every=0.02)
    await worker.start()
    await soon(lambda: worker.jobs == 1)
    store.failures = 10**6
    await soon(lambda: worker.jobs == 0)
    store.renewed.clear()
    await soon(lambda: {"a"} in store.renewed)
    store.failures = 0
    await ended(store, "a")
    await worker.stop(SOON)


async def test_a_result_that_could_not_be_stored_in_time_is_handed_back(
    models: Mapping[str, Served],
) -> None:
    store = Leasing()
    await store.put(samples("a", Ddpm(steps=2), 2))
    worker = Worker(store, models)
    await worker.start()
    await soon(lambda: worker.jobs == 1)
    store.failures = 10**6
    await soon(lambda: worker.jobs == 0)
    await worker.stop(0.0)
    assert await status(store, "a") == "queued"


async def test_a_hung_engine_renews_nothing(
    models: Mapping[str, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Leasing()
    monkeypatch.setattr(EngineThread, "tick_age", 5.0)
    worker = Worker(store, models, renew_every=0.01, max_tick=4.0)
    await worker.start()
    assert worker.hung
    await asyncio.sleep(0.1)
    assert not store.renewed
    await worker.stop(0.0)


async def test_a_hung_engines_jobs_are_left_to_their_leases(
    models: Mapping[str, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Leasing()
    await store.put(samples("j", LONG, 64))
    worker = Worker(store, models, max_tick=4.0)
    await worker.start()
    await soon(lambda: worker.jobs == 1)
    monkeypatch.setattr(EngineThread, "tick_age", 5.0)
    await worker.stop(0.0)
    assert await status(store, "j") == "running"
