"""The progress of a worker's jobs, where a part of the store is away and the others are not."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest
from small_engine import samples

from models.schema.specs import Ddpm
from service.engine.events import Progress
from service.errors import StoreUnavailable
from service.held_jobs import HeldJobs
from service.reports import REPORT_EVERY, Reports
from service.store.base import Claim
from service.store.bounds import Bounds
from service.store.memory import MemoryStore

pytestmark = pytest.mark.anyio

SOON = 20.0
PARTS = 3


class Parted(MemoryStore):
    """A store in parts, of which those in `refusing` refuse reports, and those in `silent` answer
    nothing."""

    def __init__(self) -> None:
        super().__init__(Bounds(capacity=100, retained=100, retention_s=100.0))
        self.refusing, self.silent = set[int](), set[int]()
        self.told = Counter[str]()
        self.unexpected = False

    def part(self, job_id: str) -> int:
        return int(job_id) % PARTS

    async def report(self, claim: Claim, progress: float, preview: bytes = b"") -> bool:
        name = claim.job.id
        if self.part(name) in self.silent:
            await asyncio.sleep(3600)
        if self.part(name) in self.refusing:
            raise StoreUnavailable("away")
        if self.unexpected:
            self.unexpected = False
            raise RuntimeError("surprise")
        self.told[name] += 1
        return int(name) == 0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def store() -> Parted:
    return Parted()


@pytest.fixture
def watched() -> dict[str, bool]:
    return {}


@pytest.fixture
async def reports(store: Parted, watched: dict[str, bool]) -> AsyncIterator[Reports]:
    """Those of a worker that holds two jobs of each part."""
    held = HeldJobs()
    for number in range(2 * PARTS):
        job = samples(str(number), Ddpm(steps=5), 1)
        held.running[job.id] = Claim(job, 1)
    found = Reports(store, held, watched.__setitem__)
    yield found
    await found.close()


async def advanced(reports: Reports, until: Callable[[], bool]) -> None:
    """Let all jobs advance until something holds, the last ones first."""
    async with asyncio.timeout(SOON):
        while not until():
            for number in reversed(range(2 * PARTS)):
                reports.add(Progress(str(number), 0.5))
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("how", ["refusing", "silent"])
async def test_a_part_that_is_away_delays_no_report_to_the_others(
    reports: Reports, store: Parted, how: str
) -> None:
    away: set[int] = getattr(store, how)
    away.add(PARTS - 1)
    others = [str(number) for number in range(2 * PARTS) if number % PARTS != PARTS - 1]
    await advanced(reports, lambda: all(store.told[name] >= 3 for name in others))
    assert set(store.told) == set(others)


async def test_a_part_is_told_again_once_it_is_back(reports: Reports, store: Parted) -> None:
    store.refusing.add(1)
    await advanced(reports, lambda: store.told["0"] > 0)
    store.refusing.clear()
    await advanced(reports, lambda: store.told["1"] > 0 and store.told["4"] > 0)


async def test_an_error_that_nobody_expected_ends_no_reports(
    reports: Reports, store: Parted
) -> None:
    store.unexpected = True
    await advanced(reports, lambda: all(store.told[str(number)] for number in range(2 * PARTS)))


async def test_who_is_watched_is_told_once(
    reports: Reports, store: Parted, watched: dict[str, bool]
) -> None:
    await advanced(reports, lambda: store.told["0"] >= 2)
    assert watched == {"0": True}


async def test_nothing_is_reported_after_the_end(reports: Reports, store: Parted) -> None:
    reports.add(Progress("0", 0.5))
    await asyncio.wait_for(reports.close(), SOON)
    before = store.told.copy()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(advanced(reports, lambda: False), 2 * REPORT_EVERY)
    assert store.told == before
