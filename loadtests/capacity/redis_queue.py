"""The time that scripts wait for Redis, simulated: each shard is a server that runs one after
another, and a fleet of any size asks.

Jobs arrive at random times and go to the shards in turn. Each has so many scripts, at random times
of its life, which take the measured seconds. Workers without jobs cost what was measured too.
"""

from dataclasses import dataclass

import numpy as np

# Seconds from a job's arrival to its end, in which its scripts come.
LIFE_S = 1.0


@dataclass(frozen=True)
class Fleet:
    """A fleet: so many workers, of which each does so many jobs a second."""

    workers: int
    jobs_each: float


@dataclass(frozen=True)
class Costs:
    """The costs that `python -m loadtests.capacity redis` measures: seconds of Redis for a job, its
    scripts, and seconds of Redis in each second of a worker without jobs."""

    job_s: float
    scripts: float
    idle_s: float


@dataclass(frozen=True)
class Waits:
    """The share of the time in which the busiest shard works, and percentiles of the time from a
    script's arrival to its end, in seconds; the last one grows without end past a share of 1."""

    busy: float
    median_s: float
    p99_s: float


def simulate(fleet: Fleet, costs: Costs, shards: int, seconds: float, seed: int) -> Waits:
    """Simulate so many seconds of a fleet on a store of so many shards."""
    draws = np.random.default_rng(seed)
    jobs = draws.poisson(fleet.workers * fleet.jobs_each * seconds)
    began = np.sort(draws.uniform(0, seconds, jobs))
    count = round(costs.scripts)
    idle = round(fleet.workers * seconds)
    busy, spent = list[float](), list[np.ndarray]()
    for shard in range(shards):
        own = began[shard::shards]
        scripts = (own[:, None] + draws.uniform(0, LIFE_S, (len(own), count))).ravel()
        # A worker's own calls, once a second each, divided among the shards.
        upkeep = draws.uniform(0, seconds, idle // shards)
        at = np.concatenate([scripts, upkeep])
        takes = np.repeat([costs.job_s / count, costs.idle_s], [len(scripts), len(upkeep)])
        order = np.argsort(at)
        at, takes = at[order], takes[order]
        # Each begins once it has come and the one before it has ended (Lindley, 1952).
        done = np.cumsum(takes)
        ends = done + np.maximum.accumulate(at - done + takes)
        busy.append(float(takes.sum()) / (seconds + LIFE_S))
        spent.append(ends - at)
    every = np.concatenate(spent)
    return Waits(max(busy), float(np.median(every)), float(np.quantile(every, 0.99)))
