"""Measure the cost of a job for Redis: processor time, commands and bytes, by number of workers.

Redis and the store's scripts are real; the workers are simulated and answer at once with noise.
Redis runs commands one after another, so the processor time of a job bounds the jobs per second.
"""

import asyncio
import contextlib
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import redis
from tqdm import tqdm

from loadtests.redis_cluster import Cluster, Node
from models.anomaly.kept import read_calibration
from models.files.shelf import folders
from models.schema.manifest import read_manifest
from models.schema.specs import Ddpm
from models.zoo import ZOO
from service.jobs import Job
from service.kinds.samples.task import SampleResult, SampleTask
from service.store.base import ANY_ROOM
from service.store.bounds import Bounds
from service.store.connection import Connected, connect_all
from service.store.fleet import ANNOUNCE_EVERY_S, AnnouncedModel, Fleet
from service.store.redis import POLL_S, RedisStore
from service.store.retry import retry_while_unavailable
from service.store.sharded import ShardedStore
from service.store.subscription import CLAIMING, WAITING

AnyStore = RedisStore | ShardedStore

CHECKPOINT = "0" * 64
BOUNDS = Bounds(10_000, 256, 300.0, capacity_cost=10**12)
IMAGES = (16, 28, 28, 1)
ASKING = 32
CALLS = 200
# Jobs before the measurement: connections, scripts and listeners are there then.
WARM_UP = 32
# Seconds between looks of simulated workers without a message, longer than a run: how many fall to
# a job would depend on the speed of this machine. They count as a cost of idle workers.
NEVER_S = 600.0


@dataclass(frozen=True)
class JobCost:
    """The cost of one job with a number of workers, on so many shards, each a Redis of its own.

    It consists of seconds of the main threads of all Redis, and of the busiest, whose inverse
    bounds the jobs per second; scripts called by clients, commands in all, and bytes in and out.
    The `rate` in jobs per second is limited by the clients of this script.
    """

    workers: int
    shards: int
    seconds: float
    busiest: float
    calls: float
    commands: float
    kilobytes: float
    rate: float


class Servers(NamedTuple):
    """The URL of a store, and the ports of its Redis."""

    url: str
    ports: list[int]


@contextlib.contextmanager
def redis_servers(shards: int = 1) -> Iterator[Servers]:
    """Yield a Redis that writes an append-only file, or a Redis Cluster of so many. Raises
    RuntimeError."""
    with tempfile.TemporaryDirectory() as folder:
        if shards > 1:
            with Cluster(Path(folder), shards, durable=True) as cluster:
                yield Servers(cluster.url, [node.port for node in cluster.nodes])
        else:
            with Node(Path(folder), "--appendonly", "yes", "--save", "") as node:
                yield Servers(f"redis://127.0.0.1:{node.port}/0", [node.port])


def per_job(servers: Servers, workers: int, jobs: int) -> JobCost:
    """Put, claim, report, complete and read `jobs` jobs, and return the cost of one."""
    return asyncio.run(_per_job(servers, workers, jobs))


def per_call(servers: Servers) -> dict[str, float]:
    """Return seconds of the main threads of all Redis for each call that processes make without
    jobs too."""
    return asyncio.run(_per_call(servers))


async def _per_job(servers: Servers, workers: int, jobs: int) -> JobCost:
    result = SampleResult(
        np.random.default_rng(0).integers(256, size=IMAGES, dtype=np.uint8),
        nfe=(20,) * IMAGES[0],
        acceptance_rate=(None,) * IMAGES[0],
        latents=((0,),) * IMAGES[0],
        execution="fake",
    )

    async def work(store: AnyStore) -> None:
        while True:
            # Many processes that connect at once take longer than a claim waits for that.
            claim = await retry_while_unavailable(lambda: store.claim((CHECKPOINT,)))
            await store.report(claim, 0.5)
            await store.complete(claim, result)

    async def ask(store: AnyStore, left: Iterator[int]) -> None:
        for _ in left:
            job = _job(store)
            await store.check_capacity(job.owner, job.cost)
            await store.put(job, attended=True)
            await store.wait(job.id)
            await store.leave(job.id, job.id)

    async with _stores(servers.url, workers + 1) as stores:
        working = [asyncio.create_task(work(store)) for store, _ in stores[1:]]
        left = iter(tqdm(range(jobs), desc=f"{workers} workers", leave=False))
        await ask(stores[0][0], iter(range(max(workers, WARM_UP))))
        before, began = _read(servers), time.perf_counter()
        await asyncio.gather(*(ask(stores[0][0], left) for _ in range(ASKING)))
        elapsed, after = time.perf_counter() - began, _read(servers)
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
    each = [
        {name: (now[name] - then[name]) / jobs for name in now}
        for then, now in zip(before, after, strict=True)
    ]
    spent = {name: sum(one[name] for one in each) for name in each[0]}
    return JobCost(
        workers,
        len(servers.ports),
        spent["seconds"],
        max(one["seconds"] for one in each),
        spent["calls"],
        spent["commands"],
        spent["bytes"] / 1000,
        jobs / elapsed,
    )


async def _per_call(servers: Servers) -> dict[str, float]:
    announced = [
        AnnouncedModel(manifest, "cpu", read_calibration(folder, manifest))
        for folder in folders(ZOO)
        for manifest in [read_manifest(folder)]
    ]
    async with _stores(servers.url, 1) as ((store, (first, *others)),):
        fleet = Fleet(first.client, shard=first.shard, others=others)
        claiming = RedisStore(first.client, BOUNDS, shard=first.shard).claiming
        acts: dict[str, Callable[[], Awaitable[Any]]] = {
            "announce": lambda: fleet.announce("worker", 0.0, announced),
            "look": fleet.models,
            "sweep": store.sweep,
            "renew": lambda: store.renew(()),
            "claim": lambda: claiming.look((CHECKPOINT,), ANY_ROOM),
        }
        found = {}
        for name, act in acts.items():
            await act()
            before = sum(one["seconds"] for one in _read(servers))
            for _ in range(CALLS):
                await act()
            found[name] = (sum(one["seconds"] for one in _read(servers)) - before) / CALLS
    return found


def idle(calls: dict[str, float]) -> tuple[float, float]:
    """Return seconds of Redis per second for each idle worker and each idle API."""
    renew_every_s = BOUNDS.lease_s / 3
    worker = calls["announce"] / ANNOUNCE_EVERY_S
    worker += (calls["renew"] + calls["sweep"]) / renew_every_s + calls["claim"] / POLL_S
    return worker, calls["look"] + calls["sweep"]


@contextlib.asynccontextmanager
async def _stores(url: str, count: int) -> AsyncIterator[list[tuple[AnyStore, list[Connected]]]]:
    """Yield the store as so many processes use it, an API and else workers, each with its
    connections."""
    async with contextlib.AsyncExitStack() as stack:
        found = list[tuple[AnyStore, list[Connected]]]()
        for number in range(count):
            shards = await stack.enter_async_context(connect_all(url, answer_within_s=30.0))
            bounds, name = BOUNDS.divided(len(shards)), uuid.uuid4().hex
            channels = CLAIMING if number else WAITING
            each = [
                RedisStore(client, bounds, name, poll_s=NEVER_S, channels=channels, shard=shard)
                for client, shard in shards
            ]
            store: AnyStore = ShardedStore(each) if len(each) > 1 else each[0]
            stack.push_async_callback(store.close)
            found.append((store, shards))
        yield found


def _job(store: AnyStore) -> Job:
    now = time.time()
    task = SampleTask(Ddpm(steps=20), seed=7, count=IMAGES[0])
    return Job(store.new_id(), CHECKPOINT, task, now + 600, now, owner="load", cost=320)


def _read(servers: Servers) -> list[dict[str, float]]:
    """Return what each Redis has spent so far."""
    return [_read_one(port) for port in servers.ports]


def _read_one(port: int) -> dict[str, float]:
    with redis.Redis(port=port) as client:
        cpu, stats, commands = (client.info(part) for part in ("cpu", "stats", "commandstats"))
    user, system = cpu["used_cpu_user_main_thread"], cpu["used_cpu_sys_main_thread"]
    counts = {name: each["calls"] for name, each in commands.items()}
    return {
        "seconds": user + system,
        "calls": counts.get("cmdstat_evalsha", 0),
        "commands": sum(counts.values()),
        "bytes": stats["total_net_input_bytes"] + stats["total_net_output_bytes"],
    }
