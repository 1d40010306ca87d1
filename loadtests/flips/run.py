"""A run: the plan, and the exchanges under load."""

import asyncio
import os
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass

from loadtests.flips.checkpoints import Flip, Place, exchange
from loadtests.flips.clients import Tally, learn, press
from loadtests.flips.report import longest, tell, ticks
from loadtests.processes import resident_mb


@dataclass(frozen=True)
class Plan:
    """A number of exchanges, and of requests that press the model meanwhile. Where there is time
    between two flips, the old checkpoint is dropped, and each has to be loaded."""

    requests: int = 10_000
    flips: int = 20
    every: float = 20.0
    clients: int = 48
    threads: int = 1
    workers: int = 3
    # Short requests that differ, and steps of the long one.
    seeds: int = 60
    long_steps: int = 300


async def run(address: str, workers: dict[str, int], place: Place, plan: Plan) -> bool:
    """Exchange the checkpoints under load, print what was found, and return whether all is well.

    `workers` has the process id of each worker by the address of its metrics.
    """
    asked, known = await learn(address, place, plan.seeds, plan.long_steps)
    metrics, tally, memory = next(iter(workers)), Tally(), list[float]()
    flips, loading, first = list[Flip](), Counter[float](), ticks(metrics)
    pressing = asyncio.create_task(press(address, asked, known, plan.clients, tally))
    if threading.current_thread() is threading.main_thread():
        # Ctrl-C ends the run early, and what there is is told.
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, tally.enough.set)
    began = time.monotonic()
    for number in range(plan.flips):
        await asyncio.sleep(began + plan.every * (number + 0.5) - time.monotonic())
        if tally.enough.is_set():
            break
        before = ticks(metrics)
        source = place.sources[number % len(place.sources)]
        flips.append(await asyncio.to_thread(exchange, address, source, place.root))
        loading += ticks(metrics) - before
        memory.append(sum(map(resident_mb, workers.values())))
    ends = began + plan.every * plan.flips
    while tally.requests < plan.requests or time.monotonic() < ends:
        if tally.enough.is_set():
            break
        await asyncio.sleep(0.1)
    tally.enough.set()
    await pressing
    print(f"load on this machine: {os.getloadavg()[1]:.1f}, {os.cpu_count()} cores")
    tell(tally, flips, time.monotonic() - began)
    print(f"ticks while a checkpoint was loaded: {longest(loading)}")
    print(f"ticks of the rest of the run:        {longest(ticks(metrics) - first - loading)}")
    shown = ", ".join(f"{memory[place]:.0f}" for place in (0, len(memory) // 2, -1))
    print(f"resident memory of the workers after the first, middle and last flip: {shown} MB")
    return not tally.wrong
