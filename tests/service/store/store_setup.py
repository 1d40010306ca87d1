"""Bounds and clock of the stores under contract, jobs to put in them, and ways to claim them."""

import asyncio
from dataclasses import replace

import numpy as np

from models.specs import Ddpm
from service.jobs import Job, Outcome, SampleResult, SampleTask
from service.store.base import Claim, Store
from service.store.bounds import Bounds

CAPACITY, RETAINED, RETENTION_S = 4, 3, 60.0
CAPACITY_COST = 1_000
# Seconds in which an ended job is not dropped for the number of others; of the tests' own clock.
UNREAD_S = 5.0
# Longer than any test, so that what is heard is not what was polled.
POLL_S = 600.0

A, B = "a" * 64, "b" * 64
RESULT = SampleResult(np.zeros((1, 2, 2, 1), np.uint8), (5,), (None,), ((0,),), "cpu/test")


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def bounds(lease_s: float = 60.0, most_crashes: int = 2) -> Bounds:
    return Bounds(CAPACITY, RETAINED, RETENTION_S, lease_s, most_crashes, CAPACITY_COST)


def job(name: str, checkpoint: str = A, priority: int = 0, deadline: float = 2_000.0) -> Job:
    task = SampleTask(Ddpm(steps=5), seed=0, count=1)
    return Job(name, checkpoint, task, deadline, created_at=1_000.0, priority=priority)


async def claim(store: Store, *checkpoints: str) -> Claim:
    return await asyncio.wait_for(store.claim(checkpoints or (A,)), 5)


async def nothing_to_claim(store: Store, *checkpoints: str) -> bool:
    task = asyncio.ensure_future(store.claim(checkpoints or (A,)))
    done, _ = await asyncio.wait({task}, timeout=0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return not done


def is_result(outcome: Outcome | None) -> bool:
    """Whether an outcome is RESULT."""
    return (
        isinstance(outcome, SampleResult)
        and np.array_equal(outcome.images, RESULT.images)
        and replace(outcome, images=RESULT.images) == RESULT
    )
