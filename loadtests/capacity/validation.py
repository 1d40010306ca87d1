"""The same requests at the same times, at the real service on loopback and in virtual time."""

import asyncio
import io
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
from tqdm import tqdm

from loadtests.capacity.cost import Cost, mean
from loadtests.capacity.fleet import Fleet, Report
from loadtests.capacity.traffic import Arrival, Kind, mean_work, poisson
from loadtests.local import running_service
from models.files.shelf import find

# Without likelihoods, whose evaluations depend on the images.
KINDS = (
    Kind("one", 0.50, rows=1, evaluations=20),
    Kind("sheet", 0.35, rows=16, evaluations=20),
    Kind("long", 0.05, rows=32, evaluations=100),
    Kind("verdict", 0.10, rows=8, evaluations=39, probes=1),
)
IDLE_REQUESTS = 10
TIMEOUT_S = 300.0


def compare(
    measure: Callable[[], Cost],
    load: float,
    seconds: float,
    seed: int,
    program: Sequence[str] = (),
) -> tuple[Report, Report, tuple[Cost, Cost]]:
    """What the service did, what the simulation says, and the cost before and after, of which the
    simulation has the mean. `load` is the share of the first cost's best rate that comes;
    `program` may serve in the service's place."""
    before = measure()
    rate = load * before.rate() / mean_work(KINDS)
    arrivals = list(poisson(KINDS, rate, seconds, seed))
    with running_service("--threads", str(before.threads), program=program) as address:
        real, alone = asyncio.run(_ask_all(address, before, arrivals))
    after = measure()
    between = mean(before, after)
    edge = max(0.0, alone - KINDS[0].evaluations * between.tick({0: 1}) - between.job)
    virtual = asyncio.run(Fleet(replace(between, edge=edge), seed=seed).run(arrivals))
    return real, virtual, (before, after)


async def _ask_all(address: str, cost: Cost, arrivals: Sequence[Arrival]) -> tuple[Report, float]:
    """What they came to, and the seconds of a small request that is alone."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=address, timeout=TIMEOUT_S, limits=limits) as client:
        report = Report()
        idle = [await _ask(client, cost, Arrival(0.0, KINDS[0], 0)) for _ in range(IDLE_REQUESTS)]
        text = (await client.get("/metrics")).text
        ticks = _sum(text, "mulan_engine_tick_seconds_count")
        busy = _sum(text, "mulan_engine_tick_seconds_sum")
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for arrival in tqdm(arrivals, desc="asking the service", unit="request"):
                await asyncio.sleep(max(0.0, began + arrival.at - time.perf_counter()))
                group.create_task(_note(client, cost, arrival, report))
        report.span = time.perf_counter() - began
        text = (await client.get("/metrics")).text
        report.ticks = int(_sum(text, "mulan_engine_tick_seconds_count") - ticks)
        report.busy = _sum(text, "mulan_engine_tick_seconds_sum") - busy
    return report, statistics.fmean(idle)


async def _note(client: httpx.AsyncClient, cost: Cost, arrival: Arrival, report: Report) -> None:
    seconds = await _ask(client, cost, arrival)
    report.latencies.setdefault(arrival.kind.name, []).append(seconds)
    report.ends["succeeded"] += 1


async def _ask(client: httpx.AsyncClient, cost: Cost, arrival: Arrival) -> float:
    """Seconds until the answer."""
    kind, began = arrival.kind, time.perf_counter()
    if kind.probes:
        answer = await client.post(
            "/v1/anomalies",
            params={"model": cost.model, "alpha": 0.05, "timeout_s": TIMEOUT_S},
            content=_images(cost.model, kind.rows, arrival.number),
            headers={"Content-Type": "application/x-npy"},
        )
    else:
        solver = {"name": "ddpm", "steps": kind.evaluations}
        body: dict[str, Any] = {"model": cost.model, "count": kind.rows, "seed": arrival.number}
        answer = await client.post(
            "/v1/samples", json={**body, "solver": solver, "timeout_s": TIMEOUT_S}
        )
    answer.raise_for_status()
    return time.perf_counter() - began


def _sum(text: str, name: str) -> float:
    """Of all series of a metric."""
    lines = (line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{")))
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def _images(model: str, rows: int, seed: int) -> bytes:
    """Noise of a model's shape; a verdict takes equally long on every image."""
    config, file = find(model)[1].config, io.BytesIO()
    draws = np.random.default_rng(seed)
    shape = (rows, *config.image_shape)
    np.save(file, draws.integers(config.vocabulary, size=shape, dtype=np.uint8))
    return file.getvalue()
