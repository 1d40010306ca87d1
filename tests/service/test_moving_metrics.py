"""Every metric of every process moves: each has something to tell of, and something that tells it.

A family that is registered, documented and never told of anything fails here by its name.
"""

import asyncio
import base64
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from process_harness import SOON, running, until
from prometheus_client import CollectorRegistry
from redis_server import RedisServer
from tiny_zoo import CONFIG, write_checkpoint

from models.schema.manifest import read_manifest
from models.schema.specs import Adams, Ddpm
from service.images.npy import encode_npy
from service.jobs import Job, Task
from service.kinds.likelihoods.task import ScoreTask
from service.kinds.samples.task import SampleTask
from service.process import Process
from service.serve import Serve
from service.serve_api import Api
from service.serve_worker import WorkerProcess
from service.settings import Settings
from service.store.bounds import Bounds
from service.store.connection import connect
from service.store.redis import RedisStore
from service.telemetry.device import DeviceMemory

pytestmark = pytest.mark.anyio

LONG = {"model": "good", "count": 64, "solver": {"name": "ddpm", "steps": 1000}}
DRAWN = {"model": "good", "solver": {"name": "rtk-mala", "segments": 2, "inner_steps": 2}}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def settings(tmp_path: Path, server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A fleet that soon takes a worker for dead, on a device whose memory can be read."""
    write_checkpoint(tmp_path / "zoo" / "good")
    monkeypatch.setattr(
        "service.hosted_worker.device_memory", lambda: [DeviceMemory("cuda:0", 5, 8)]
    )
    return Settings(
        store=server.url,
        models=tmp_path / "zoo",
        lease_s=1.0,
        max_crashes=1,
        model_control=True,
        callback_hosts=("127.0.0.1",),
        callback_secret="whsec_" + base64.b64encode(b"s" * 32).decode(),
    )


@asynccontextmanager
async def fleet_store(settings: Settings) -> AsyncIterator[RedisStore]:
    """The store as one more process of the fleet has it."""
    async with connect(settings.store) as client:
        store = RedisStore(client, Bounds.of(settings), poll_s=0.05)
        try:
            yield store
        finally:
            await store.close()


class Watch:
    """The families of a process, and those that were ever seen to hold another number than 0."""

    def __init__(self, process: Process) -> None:
        self.registry: CollectorRegistry = process.resources.registry
        self.families: set[str] = set()
        self.moved: set[str] = set()

    def look(self) -> None:
        for family in self.registry.collect():
            self.families.add(family.name)
            if any(sample.value for sample in family.samples):
                self.moved.add(family.name)

    async def keep_looking(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(0.01)

    async def assert_moved(self) -> None:
        """Every family has moved, or does so soon."""
        try:
            async with asyncio.timeout(5):
                while self.families - self.moved:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            still = ", ".join(sorted(self.families - self.moved))
            raise AssertionError(f"nothing moved these metrics: {still}") from None


@asynccontextmanager
async def watched(process: Process) -> AsyncIterator[Watch]:
    watch = Watch(process)
    looking = asyncio.create_task(watch.keep_looking())
    try:
        yield watch
    finally:
        looking.cancel()


def unserved() -> str:
    """A checkpoint that no process here has: its jobs wait to be claimed by hand."""
    return uuid.uuid4().hex * 2


def job(task: Task, checkpoint: str) -> Job:
    now = time.time()
    return Job(uuid.uuid4().hex, checkpoint, task, now + SOON, now, model="good", cost=10)


async def kill_two_workers(store: RedisStore) -> None:
    """Queue a job that two workers claim and never come back from; the second runs it alone."""
    checkpoint = unserved()
    job_id = await store.put(job(SampleTask(Ddpm(steps=1), 0, 1), checkpoint))
    await store.claim((checkpoint,))
    alone = await store.claim((checkpoint,))
    assert alone.company == 1
    await store.report(alone, 0.0)
    assert (await store.wait(job_id)).status == "failed"


async def leave_an_orphan_and_garbage(store: RedisStore, settings: Settings) -> None:
    """Queue a job whose API dies, and write what nobody can read, and that another server had the
    data."""
    async with fleet_store(settings) as dead:
        job_id = await dead.put(job(SampleTask(Ddpm(steps=1), 0, 1), unserved()), attended=True)
    await store.client.zadd("mulan:workers", {b"\xff": 1})
    await store.client.set(b"mulan:worker:\xff", "{}")
    await store.client.set("mulan:grace", 1)
    await store.client.set("mulan:server", "0" * 40)
    async with asyncio.timeout(SOON):
        while await store.client.exists(f"mulan:job:{job_id}"):
            await asyncio.sleep(0.01)


async def ask_for_everything(url: str, store: RedisStore, settings: Settings) -> None:
    """One job of each kind, a change of the model, a refusal, a failure and a cancellation, while
    another job waits."""
    await store.put(job(SampleTask(Ddpm(steps=1), 0, 1), unserved()))
    tokens = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4, 1) % CONFIG.vocabulary
    body, kind = encode_npy(tokens), {"Content-Type": "application/x-npy"}
    async with httpx.AsyncClient(base_url=url, timeout=SOON) as client:
        (await client.post("/v1/samples", json=DRAWN)).raise_for_status()
        for path in ("/v1/likelihoods?model=good&probes=1", "/v1/anomalies?model=good&alpha=0.05"):
            (await client.post(path, content=body, headers=kind)).raise_for_status()

        (await client.post("/v2/repository/models/good/load")).raise_for_status()
        refused = await client.post("/v1/samples", json=DRAWN | {"model": "nobody"})
        assert refused.json()["code"] == "unknown-model"

        checkpoint = read_manifest(settings.models / "good").sha256
        misshapen = ScoreTask(Adams(probes=1), 0, 1, tokens[:, :2])
        failed = await store.put(job(misshapen, checkpoint))
        assert (await store.wait(failed)).status == "failed"

        told = {"callback_url": "http://127.0.0.1:9/nobody-listens"}
        queued = await client.post("/v1/jobs", json={"kind": "samples", "request": LONG} | told)
        path = queued.headers["location"]
        async with asyncio.timeout(SOON):
            while not (await client.get(path)).json()["progress"]:
                await asyncio.sleep(0.01)
        assert (await client.delete(path)).status_code == 204


async def outage(server: RedisServer, *watches: Watch) -> None:
    """Let Redis refuse commands until every process has noticed."""
    with server.busy():
        await until(lambda: all("mulan_store_errors" in watch.moved for watch in watches))


async def test_every_metric_of_a_whole_service_moves(
    server: RedisServer, settings: Settings
) -> None:
    async with (
        fleet_store(settings) as store,
        running(Serve, settings) as (process, _),
        watched(process) as watch,
    ):
        await until(lambda: "mulan_model_workers" in watch.moved)
        await kill_two_workers(store)
        await leave_an_orphan_and_garbage(store, settings)
        await ask_for_everything(process.url, store, settings)
        await outage(server, watch)
        await watch.assert_moved()


async def test_every_metric_of_a_fleet_moves(server: RedisServer, settings: Settings) -> None:
    """Each half has its turn to find dead workers' jobs, while the other is not there."""
    async with (
        fleet_store(settings) as store,
        running(Api, settings) as (api, api_life),
        watched(api) as api_watch,
    ):
        await kill_two_workers(store)
        await leave_an_orphan_and_garbage(store, settings)
        async with (
            running(WorkerProcess, settings) as (worker, _),
            watched(worker) as worker_watch,
        ):
            await until(lambda: "mulan_model_workers" in api_watch.moved)
            await ask_for_everything(api.url, store, settings)
            await outage(server, api_watch, worker_watch)
            await api_watch.assert_moved()
            api.stopping.set()
            await api_life
            await kill_two_workers(store)
            await leave_an_orphan_and_garbage(store, settings)
            await worker_watch.assert_moved()
