"""The same requests at the same times, at the real service on loopback and in virtual time."""

import asyncio
import io
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
from tqdm import tqdm

from loadtests.capacity.cost import Cost
from loadtests.capacity.fleet import Fleet, Report
from loadtests.capacity.traffic import Arrival, Kind, mean_work, poisson
from loadtests.local import running_service

# Without likelihoods, whose evaluations depend on the images.
KINDS = (
    Kind("one", 0.50, rows=1, evaluations=20),
    Kind("sheet", 0.35, rows=16, evaluations=20),
    Kind("long", 0.05, rows=32, evaluations=100),
    Kind("verdict", 0.10, rows=8, evaluations=39, probes=1),
)
IDLE_REQUESTS = 10
TIMEOUT_S = 300.0


def compare(cost: Cost, load: float, seconds: float, seed: int) -> tuple[Report, Report, Cost]:
    """What the service did, what the simulation says, and the cost with its edge measured. `load`
    is the share of the cost's best rate that comes."""
    rate = load * cost.rate() / mean_work(KINDS)
    arrivals = list(poisson(KINDS, rate, seconds, seed))
    with running_service("--threads", str(cost.threads)) as address:
        real, edge = asyncio.run(_ask_all(address, cost, arrivals))
    complete = replace(cost, edge=edge)
    return real, asyncio.run(Fleet(complete, seed=seed).run(arrivals)), complete


async def _ask_all(address: str, cost: Cost, arrivals: Sequence[Arrival]) -> tuple[Report, float]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=address, timeout=TIMEOUT_S, limits=limits) as client:
        report = Report()
        idle = [await _ask(client, cost, Arrival(0.0, KINDS[0], 0)) for _ in range(IDLE_REQUESTS)]
        alone = KINDS[0].evaluations * cost.tick({0: 1}) + cost.job
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for arrival in tqdm(arrivals, desc="asking the service", unit="request"):
                await asyncio.sleep(max(0.0, began + arrival.at - time.perf_counter()))
                group.create_task(_note(client, cost, arrival, report))
        report.span = time.perf_counter() - began
    return report, max(0.0, min(idle) - alone)


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
            content=_images(kind.rows, arrival.number),
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


def _images(rows: int, seed: int) -> bytes:
    """Noise of the shape of `digits`; a verdict takes equally long on every image."""
    file = io.BytesIO()
    draws = np.random.default_rng(seed)
    np.save(file, draws.integers(17, size=(rows, 8, 8, 1), dtype=np.uint8))
    return file.getvalue()
