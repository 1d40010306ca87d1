"""A worker, its engine, and a Redis that goes away and comes back."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis_server import RedisServer
from small_engine import CHECKPOINT, samples
from torch import Tensor

from models.rows.denoiser import Denoiser
from models.rows.rows import Answer, Condition, Query
from models.schema.specs import Ddpm
from service.errors import StoreUnavailable
from service.jobs import Job
from service.kinds.samples.task import SampleTask
from service.rows import Served
from service.store import keys
from service.store.bounds import Bounds
from service.store.connection import connect
from service.store.redis import RedisStore
from service.worker import Worker

pytestmark = pytest.mark.anyio

LEASE_S = 3.0
RENEW_S = LEASE_S / 3
BOUNDS = Bounds(100, retained=100, retention_s=100.0, lease_s=LEASE_S, most_crashes=2)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path, durable=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def api(own_redis: RedisServer) -> AsyncIterator[RedisStore]:
    """The store as an API has it, which sweeps all the time."""

    async def sweep() -> None:
        while True:
            with suppress(StoreUnavailable):
                await store.sweep()
            await asyncio.sleep(0.05)

    async with connect(own_redis.url) as client:
        store = RedisStore(client, BOUNDS)
        sweeping = asyncio.create_task(sweep())
        yield store
        sweeping.cancel()
        await store.close()


@asynccontextmanager
async def working(
    server: RedisServer, models: Mapping[str, Served], **options: Any
) -> AsyncIterator[Worker]:
    async with connect(server.url) as client:
        store = RedisStore(client, BOUNDS, poll_s=0.1)
        worker = Worker(store, models, renew_every=RENEW_S, **options)
        await worker.start()
        try:
            yield worker
        finally:
            await worker.stop(0.0)
            await store.close()


SHORT = SampleTask(Ddpm(steps=3), seed=1, count=1)


def long(name: str) -> Job:
    whole = samples(name, Ddpm(steps=1000), 256)
    return replace(whole, cost=256_000, deadline=time.time() + 600)


def short(name: str) -> Job:
    return replace(long(name), task=SHORT, cost=3)


async def test_a_suspect_that_waits_in_vain_lets_others_pass_until_it_can_be_alone(
    own_redis: RedisServer, api: RedisStore, models: Mapping[str, Served]
) -> None:
    await api.put(short("suspect"))
    claim = await api.claim((CHECKPOINT,))
    await api.put(long("long"))
    async with working(own_redis, models, patience=0.3) as worker, asyncio.timeout(60):
        while worker.jobs == 0:
            await asyncio.sleep(0.02)
        # Whoever claimed it has died, so that from now on it runs alone.
        await api.report(claim, 0.0)
        while (await api.summary("suspect")).status == "running":
            await asyncio.sleep(0.05)
            await api.sweep()
        await api.put(short("other"))
        assert (await api.wait("other")).status == "succeeded"
        # Between its vain waits it is in the queue.
        while (status := (await api.summary("suspect")).status) != "queued":
            assert status == "running"
            await asyncio.sleep(0.02)
        assert (await api.summary("long")).status == "running"
        await api.cancel("long")
        assert (await api.wait("suspect")).status == "succeeded"


class Hanging:
    """A denoiser that does not come back before it is freed."""

    quantum = 1

    def __init__(self, inner: Denoiser) -> None:
        self.inner, self.config, self.freed = inner, inner.config, threading.Event()

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        self.freed.wait(60)
        return self.inner.evaluate(query, condition)

    def encode(self, x: Tensor) -> Tensor:
        return self.inner.encode(x)

    def condition(self, latent: Tensor) -> Condition:
        return self.inner.condition(latent)


async def test_a_job_that_hangs_every_engine_becomes_a_dead_letter(
    own_redis: RedisServer, api: RedisStore, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.worker.JOIN_WITHIN", 0.1)
    await api.put(long("j"))
    # Once in company, then alone.
    for _ in range(1 + BOUNDS.most_crashes):
        hanging = Hanging(served.denoiser)
        models = {CHECKPOINT: served._replace(denoiser=hanging)}
        async with working(own_redis, models, max_tick=0.2) as worker, asyncio.timeout(30):
            while not worker.hung:
                await asyncio.sleep(0.02)
        async with asyncio.timeout(30):
            while (await api.summary("j")).status == "running":
                await asyncio.sleep(0.02)
        hanging.freed.set()
    record = await api.record("j")
    assert record.status == "failed"
    assert "died or hung" in str(record.outcome)
    assert (await api.load()).dead_letters == 1


@pytest.mark.parametrize("leases", [0.4, 0.9])
async def test_an_outage_shorter_than_a_lease_takes_no_job_from_a_living_worker(
    own_redis: RedisServer, api: RedisStore, models: Mapping[str, Served], leases: float
) -> None:
    async with working(own_redis, models) as worker:
        await api.put(long("j"))
        while (await api.summary("j")).status == "queued":
            await asyncio.sleep(0.02)
        # Leases are nearly as old as they become.
        await asyncio.sleep(0.7 * RENEW_S)
        own_redis.stop()
        await asyncio.sleep(leases * LEASE_S)
        await asyncio.to_thread(own_redis.start)
        await asyncio.sleep(1.5 * LEASE_S)
        # Connections from before the outage may hold what is left of it.
        await api.client.connection_pool.disconnect()
        assert await api.client.hget(keys.JOB + "j", "epoch") == b"1"
        assert (await api.summary("j")).status == "running"
        assert worker.jobs == 1
