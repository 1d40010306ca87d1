"""What a worker's jobs leave in its metrics."""

import asyncio
import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample
from small_calibration import small_calibration
from small_engine import CHECKPOINT, CONFIG, images, job, samples, scores

from models.schema.scores import Score
from models.schema.specs import Ddpm, FlowPath, RtkMala
from service.errors import StoreUnavailable
from service.jobs import Job, Outcome
from service.kinds.anomalies.task import AnomalyResult, AnomalyTask
from service.kinds.likelihoods.task import ScoreResult
from service.rows import Served
from service.store.base import Claim
from service.store.bounds import Bounds
from service.store.memory import MemoryStore
from service.telemetry.device import DeviceMemory, DeviceMetrics
from service.telemetry.engine import EngineMetrics
from service.telemetry.jobs import JobMetrics
from service.telemetry.observers import Observers
from service.worker import Worker

pytestmark = pytest.mark.anyio
SOON = 60.0
NAMES = {CHECKPOINT: "small"}
LONG = Ddpm(steps=1000)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(Bounds(capacity=100, retained=100, retention_s=100.0))


class Watched:
    """A worker, and what its registry holds."""

    def __init__(
        self, store: MemoryStore, models: Mapping[str, Served], registry: CollectorRegistry
    ) -> None:
        self.registry = registry
        observers = Observers(JobMetrics(registry, NAMES), EngineMetrics(registry, NAMES))
        self.worker = Worker(store, models, renew_every=0.2, observers=observers)

    def value(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"mulan_{name}", labels) or 0.0

    def jobs(self, kind: str, solver: str, outcome: str) -> float:
        return self.value("jobs_total", kind=kind, model="small", solver=solver, outcome=outcome)


@pytest.fixture
async def watched(
    store: MemoryStore, models: Mapping[str, Served], registry: CollectorRegistry
) -> Watched:
    return Watched(store, models, registry)


async def soon(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0.005)


async def done(store: MemoryStore, one: Job) -> Outcome | None:
    await store.put(one)
    async with asyncio.timeout(SOON):
        return (await store.wait(one.id)).outcome


async def test_a_job_is_counted_once_and_timed(store: MemoryStore, watched: Watched) -> None:
    await watched.worker.start()
    waited = replace(samples("a", Ddpm(steps=3), 2), created_at=time.time() - 5.0)
    await done(store, waited)
    await soon(lambda: watched.jobs("samples", "ddpm", "succeeded") == 1)
    labels = {"kind": "samples", "model": "small", "solver": "ddpm"}
    assert 5.0 <= watched.value("job_queue_seconds_sum", **labels) < 5.0 + SOON
    assert watched.value("job_run_seconds_count", **labels) == 1
    assert 0 < watched.value("job_run_seconds_sum", **labels) < SOON
    checkpoint = CHECKPOINT[:12]
    rows = watched.value(
        "row_evaluations_total", model="small", checkpoint=checkpoint, solver="ddpm"
    )
    assert rows == 3 * 2
    assert watched.value("work_total", model="small") == rows
    assert watched.value("engine_tick_seconds_count") == 3
    calls = {"model": "small", "mode": "forward"}
    assert watched.value("engine_calls_total", **calls, reason="drained") == 3
    assert watched.value("engine_batch_rows_sum", **calls) == 6
    await watched.worker.stop(SOON)


async def test_every_ending_has_its_name(store: MemoryStore, watched: Watched) -> None:
    worker = watched.worker
    await worker.start()
    late = replace(samples("late", LONG, 64), deadline=time.time() + 0.2)
    await done(store, late)
    for name in ("cancelled", "lost", "released"):
        await store.put(samples(name, LONG, 4))
    await soon(lambda: worker.jobs == 3)
    await store.cancel("cancelled")
    await soon(lambda: worker.jobs == 2)
    renew = store.renew

    async def lost(claims: list[Claim]) -> list[Claim]:
        return [claim for claim in claims if claim.job.id == "lost"]

    store.renew = lost  # type: ignore[assignment, method-assign]
    await soon(lambda: worker.jobs == 1)
    store.renew = renew  # type: ignore[method-assign]
    await worker.stop(0.0)
    for outcome in ("timed-out", "cancelled", "lost", "released"):
        assert watched.jobs("samples", "ddpm", outcome) == 1, outcome
    assert watched.jobs("samples", "ddpm", "succeeded") == 0


async def test_a_result_that_was_never_stored_is_released(
    store: MemoryStore, watched: Watched
) -> None:
    async def away(claim: Claim, outcome: Outcome) -> bool:
        raise StoreUnavailable("gone fishing")

    await watched.worker.start()
    store.complete = away  # type: ignore[method-assign]
    await store.put(samples("a", Ddpm(steps=1), 1))
    await soon(lambda: watched.value("engine_tick_seconds_count") == 1)
    await soon(lambda: watched.worker.jobs == 0)
    await watched.worker.stop(0.0)
    assert watched.jobs("samples", "ddpm", "released") == 1


async def test_rows_are_gone_when_there_is_nothing_to_do(
    store: MemoryStore, watched: Watched
) -> None:
    await watched.worker.start()
    await store.put(samples("a", LONG, 600))
    rows = {"model": "small", "solver": "ddpm"}
    await soon(lambda: watched.value("engine_rows", **rows, state="active") > 0)
    assert watched.value("engine_rows", **rows, state="waiting") > 0
    await store.cancel("a")
    await soon(lambda: watched.value("engine_rows", **rows, state="active") == 0)
    assert watched.value("engine_rows", **rows, state="waiting") == 0
    await watched.worker.stop(SOON)


async def test_likelihoods_tell_of_the_data_once_a_job(
    store: MemoryStore, watched: Watched
) -> None:
    await watched.worker.start()
    outcome = await done(store, scores("s", images(3)))
    for _ in range(3):
        await store.record("s")
    assert isinstance(outcome, ScoreResult)
    await soon(lambda: watched.value("bits_per_dim_count", model="small") == 3)
    told = sum(score.bits_per_dim or 0.0 for score in outcome.scores)
    assert watched.value("bits_per_dim_sum", model="small") == pytest.approx(told)
    # One probe: each evaluation is also pulled back once.
    evaluations = sum(score.nfe for score in outcome.scores)
    assert watched.value("work_total", model="small") == 2 * evaluations
    pulled = watched.value("engine_batch_rows_sum", model="small", mode="pull-back")
    assert pulled == evaluations
    await watched.worker.stop(SOON)


async def test_verdicts_are_those_that_clients_are_told(
    store: MemoryStore, watched: Watched
) -> None:
    await watched.worker.start()
    calibration = small_calibration(CHECKPOINT, CONFIG, FlowPath(steps=4, fresh=2))
    task = AnomalyTask(calibration, 1, alpha=0.5, heatmap=False, images=images(4))
    outcome = await done(store, job("v", task))
    assert isinstance(outcome, AnomalyResult)
    verdicts = calibration.judge(outcome.readings, task.images)
    labels = {"model": "small", "source": "none"}
    await soon(lambda: watched.value("anomaly_p_value_count", **labels) == 4)
    told = sum(verdict.p_value for verdict in verdicts)
    assert watched.value("anomaly_p_value_sum", **labels) == pytest.approx(told)
    counted = {
        verdict: watched.value("anomaly_verdicts_total", **labels, verdict=verdict)
        for verdict in ("normal", "abnormal", "failed")
    }
    flagged = sum(verdict.p_value <= 0.5 for verdict in verdicts)
    assert counted == {"normal": 4 - flagged, "abnormal": flagged, "failed": 0}
    await watched.worker.stop(SOON)


async def test_acceptance_is_told_of_what_accepts(store: MemoryStore, watched: Watched) -> None:
    await watched.worker.start()
    await done(store, samples("plain", Ddpm(steps=2), 2))
    await done(store, samples("mala", RtkMala(segments=2, inner_steps=2), 3))
    rates = {"model": "small", "solver": "rtk-mala"}
    await soon(lambda: watched.value("acceptance_rate_count", **rates) == 3)
    assert 0 <= watched.value("acceptance_rate_sum", **rates) <= 3
    assert watched.value("acceptance_rate_count", model="small", solver="ddpm") == 0
    await watched.worker.stop(SOON)


def test_a_number_that_is_none_is_not_counted(registry: CollectorRegistry) -> None:
    one = scores("s", images(3))
    found = (Score(9, bits_per_dim=math.nan), Score(9, reason="no"), Score(9, bits_per_dim=1.5))
    JobMetrics(registry, NAMES).result_stored(one, ScoreResult(found, "cpu/test"))
    labels = {"model": "small"}
    assert registry.get_sample_value("mulan_bits_per_dim_count", labels) == 1
    assert registry.get_sample_value("mulan_bits_per_dim_sum", labels) == 1.5


def test_a_job_that_calls_itself_otherwise_is_its_checkpoint_s(
    registry: CollectorRegistry,
) -> None:
    metrics = JobMetrics(registry, NAMES)
    for number in range(9):
        metrics.claimed(replace(samples("a", LONG, 1), model=f"nonsense-{number}"), 1.0)
    labels = {"kind": "samples", "model": "small", "solver": "ddpm"}
    assert registry.get_sample_value("mulan_job_queue_seconds_count", labels) == 9


async def test_odd_jobs_make_no_odd_series(
    store: MemoryStore, watched: Watched, registry: CollectorRegistry
) -> None:
    """Whatever a job says of itself, labels are of closed sets."""
    dice = random.Random(7)
    words: set[str] = set()
    await watched.worker.start()

    async def series() -> list[Sample]:
        """After jobs of every kind, in words never used before."""
        calibration = small_calibration(CHECKPOINT, CONFIG, FlowPath(steps=4, fresh=2))
        verdict = AnomalyTask(calibration, 1, alpha=0.5, heatmap=False, images=images(2))
        kinds = [
            samples("s", Ddpm(steps=2), 1),
            samples("a", RtkMala(segments=2, inner_steps=2), 1),
            scores("l", images(1)),
            job("v", verdict),
            samples("late", LONG, 64),
        ]
        for one in kinds:
            word = f"{dice.getrandbits(64):x}"
            words.add(word)
            odd = replace(one, id=word, model=word, owner=word, request_id=word, trace=word)
            if isinstance(one.task, AnomalyTask):
                odd = replace(odd, task=replace(one.task, source=word))
            if one.id == "late":
                odd = replace(odd, deadline=time.time() + 0.2)
            await done(store, odd)
        ran = len(words) // len(kinds)
        labels = {"model": "small", "source": "other"}
        await soon(lambda: watched.value("anomaly_p_value_count", **labels) == 2 * ran)
        await soon(lambda: watched.jobs("samples", "ddpm", "timed-out") == ran)
        return [sample for family in registry.collect() for sample in family.samples]

    first, second = await series(), await series()
    await watched.worker.stop(SOON)
    assert len(first) == len(second) < 400
    assert not {label for sample in second for label in sample.labels.values()} & words
    assert {one.labels["model"] for one in second if "model" in one.labels} == {"small"}


def test_a_device_is_asked_at_every_scrape(registry: CollectorRegistry) -> None:
    found = [DeviceMemory("cuda:0", 5, 8)]
    DeviceMetrics(registry, lambda: found)

    def value(state: str) -> float | None:
        labels = {"device": "cuda:0", "state": state}
        return registry.get_sample_value("mulan_device_memory_bytes", labels)

    assert (value("allocated"), value("reserved")) == (5, 8)
    found[0] = DeviceMemory("cuda:0", 6, 8)
    assert value("allocated") == 6
    found.clear()
    assert value("allocated") is None
