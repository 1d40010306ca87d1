"""The number of workers for a rate of requests, by a formula and by simulation."""

import asyncio
import math
from collections.abc import Sequence

from tqdm import tqdm

from loadtests.capacity.cost import Cost
from loadtests.capacity.fleet import Fleet, Report, utilisation
from loadtests.capacity.traffic import Kind, mean_work, poisson

# The share of the work of full ticks that may arrive if long jobs are to end too.
BUSY = 0.5
MOST = 64


def by_formula(cost: Cost, kinds: Sequence[Kind], rate: float, busy: float = BUSY) -> int:
    """Return the number of workers that `rate` requests a second keep busy for that share of the
    time."""
    return max(1, math.ceil(rate * mean_work(kinds) / (busy * cost.rate())))


def simulate(
    cost: Cost,
    kinds: Sequence[Kind],
    rate: float,
    workers: int,
    seconds: float,
    seed: int,
    shards: int = 1,
) -> Report:
    """Run one simulation, with a progress bar."""
    with tqdm(total=round(seconds), unit="s", desc=f"{workers} workers", leave=False) as bar:

        def heard(now: float) -> None:
            bar.update(min(bar.total, int(now)) - bar.n)

        arrivals = poisson(kinds, rate, seconds, seed)
        return asyncio.run(Fleet(cost, workers, seed=seed, shards=shards).run(arrivals, heard))


def by_simulation(
    cost: Cost,
    kinds: Sequence[Kind],
    rate: float,
    kind: str,
    within: float,
    seconds: float,
    seed: int,
) -> tuple[int, Report]:
    """Return the fewest workers that refuse no request and are fast enough.

    Fast enough means that 95 of 100 requests of a kind are answered `within` so many seconds.
    Raises ValueError where 64 workers are too few.
    """
    least = max(1, math.floor(rate * mean_work(kinds) / cost.rate()))
    for workers in range(least, MOST + 1):
        report = simulate(cost, kinds, rate, workers, seconds, seed)
        if report.percentile(0.95, kind) <= within and report.ends.keys() == {"succeeded"}:
            return workers, report
    raise ValueError(f"{MOST} workers are too few")


def row(report: Report, workers: int) -> str:
    """Format utilisation and percentiles of all kinds as a line of a table."""
    cells = [f"{utilisation(report, workers):.2f}"]
    cells += [f"{report.percentile(share):.2f}" for share in (0.5, 0.95, 0.99)]
    return " | ".join(cells)
