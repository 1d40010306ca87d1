"""Bounds and clock of the stores under contract, jobs to put in them, and ways to claim them."""

import asyncio
from dataclasses import fields, is_dataclass, replace

import numpy as np
from documents import JOBS, OUTCOMES

from models.schema.specs import Ddpm
from service.jobs import Job, Outcome
from service.kinds import KINDS
from service.kinds.samples.task import SampleResult, SampleTask
from service.store.base import Claim, Room, Store
from service.store.bounds import Bounds

CAPACITY, RETAINED, RETENTION_S = 4, 3, 60.0
CAPACITY_COST = 1_000
# Room for five small results, of any owners.
RETAINED_BYTES = 15_000
# Seconds in which an ended job is not dropped for the number of others; of the tests' own clock.
UNREAD_S = 5.0
# Longer than any test, so that what is heard is not what was polled.
POLL_S = 600.0

A, B = "a" * 64, "b" * 64
RESULT = SampleResult(np.zeros((1, 2, 2, 1), np.uint8), (5,), (None,), ((0,),), "cpu/test")


# A task of each kind, and what it may come to.
WORK = {name: (JOBS[name].task, OUTCOMES[name]) for name in KINDS}


class FakeClock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def bounds(lease_s: float = 60.0, most_crashes: int = 2) -> Bounds:
    return Bounds(
        *(CAPACITY, RETAINED, RETENTION_S, lease_s, most_crashes, CAPACITY_COST),
        retained_bytes=RETAINED_BYTES,
        unread_s=UNREAD_S,
    )


def job(
    name: str,
    checkpoint: str = A,
    priority: int = 0,
    deadline: float = 2_000.0,
    owner: str = "",
    cost: int = 1,
) -> Job:
    task = SampleTask(Ddpm(steps=5), seed=0, count=1)
    return Job(name, checkpoint, task, deadline, 1_000.0, owner, priority, cost=cost)


class Busy(Room):
    """Holds so many other jobs, and waits for none of them to end unless it is `patient`."""

    def __init__(self, held: int = 1, patience: float = 0.0) -> None:
        self.jobs, self.patient = held, patience
        self.wanted: list[int] = []

    @property
    def held(self) -> int:
        return self.jobs

    @property
    def patience(self) -> float:
        return self.patient

    async def make(self, company: int) -> None:
        self.wanted.append(company)
        await asyncio.sleep(0.01)


async def claim(store: Store, *checkpoints: str) -> Claim:
    return await asyncio.wait_for(store.claim(checkpoints or (A,)), 5)


async def nothing_to_claim(store: Store, *checkpoints: str) -> bool:
    task = asyncio.ensure_future(store.claim(checkpoints or (A,)))
    done, _ = await asyncio.wait({task}, timeout=0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return not done


def alike(one: object, other: object) -> bool:
    """Equal through and through, arrays by kind and content."""
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and (
            one.dtype == other.dtype and np.array_equal(one, other)
        )
    if isinstance(one, tuple):
        return isinstance(other, tuple) and (len(one) == len(other) and all(map(alike, one, other)))
    if is_dataclass(one):
        return type(one) is type(other) and all(
            alike(getattr(one, field.name), getattr(other, field.name)) for field in fields(one)
        )
    return one == other


def is_result(outcome: Outcome | None) -> bool:
    """Whether an outcome is RESULT."""
    return (
        isinstance(outcome, SampleResult)
        and np.array_equal(outcome.images, RESULT.images)
        and replace(outcome, images=RESULT.images) == RESULT
    )
