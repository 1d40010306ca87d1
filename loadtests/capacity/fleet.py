"""A fleet in virtual time.

Real are the scheduler, the store's admission and claims, and the bounds; simulated are the time of
a tick and which of the workers with capacity claims first. Where the store has several shards,
arrivals go to each in turn, and claims look at each in turn.
"""

import heapq
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from loadtests.capacity.cost import Cost
from loadtests.capacity.traffic import CHECKPOINT, Arrival
from service.engine.ids import by_job, rows_of
from service.engine.scheduler import Scheduler, SchedulerLimits
from service.errors import DeadlineExceeded, QueueFull
from service.kinds.samples.task import SampleResult
from service.store.base import Claim
from service.store.bounds import Bounds
from service.store.memory import MemoryStore
from service.worker import MAX_JOBS

SWEEP_EVERY_S = 1.0
DEFAULT_BOUNDS = Bounds(capacity=256, retained=256, retention_s=300.0)
_DONE = SampleResult(np.empty((0, 1, 1, 1), np.uint8), (), (), (), "virtual")
_LATE = DeadlineExceeded("the deadline passed")


@dataclass
class Report:
    """The results of a traffic.

    They are the seconds from arrival to answer by kind, the ends by status, and the seconds, the
    price in row-evaluations and the rows of each tick.
    """

    latencies: dict[str, list[float]] = field(default_factory=dict)
    ends: Counter[str] = field(default_factory=Counter)
    ticks: int = 0
    busy: float = 0.0
    price: int = 0
    row_evaluations: int = 0
    span: float = 0.0

    def percentile(self, share: float, kind: str | None = None) -> float:
        """Return a percentile of the latencies of a kind, or of all; NaN where there are none."""
        chosen = (
            self.latencies.get(kind, [])
            if kind
            else list(itertools.chain(*self.latencies.values()))
        )
        return float(np.percentile(chosen, 100 * share)) if chosen else float("nan")

    def mean(self) -> float:
        """Return the mean of all latencies."""
        return float(np.mean(list(itertools.chain(*self.latencies.values()))))


@dataclass
class _Running:
    """A job on a worker: the evaluations that each row needs and has had, None where those are
    known."""

    claim: Claim
    store: MemoryStore
    arrival: Arrival
    left: int
    takes: np.ndarray | None
    told: np.ndarray


class _Worker:
    """The real scheduler over simulated ticks."""

    def __init__(self, limits: SchedulerLimits) -> None:
        self.scheduler = Scheduler(limits)
        self.running: dict[int, _Running] = {}
        self.claimed: list[tuple[Claim, MemoryStore, Arrival]] = []
        self.ticking = False

    @property
    def jobs(self) -> int:
        return len(self.running) + len(self.claimed)


class Fleet:
    """A simulation of `workers` workers of one cost, and of a store of so many `shards`.

    It has to run in an event loop, but never waits in it.
    """

    def __init__(
        self,
        cost: Cost,
        workers: int = 1,
        limits: SchedulerLimits | None = None,
        bounds: Bounds = DEFAULT_BOUNDS,
        seed: int = 0,
        shards: int = 1,
    ) -> None:
        self.cost, self.limits, self.now = cost, limits or SchedulerLimits(), 0.0
        each = bounds.divided(shards)
        self.stores = [MemoryStore(each, clock=lambda: self.now) for _ in range(shards)]
        self._arrived = self._turn = 0
        self.report = Report()
        self._workers = [_Worker(self.limits) for _ in range(workers)]
        self._draws = np.random.default_rng(seed)
        self._arrivals: dict[str, Arrival] = {}
        self._events: list[tuple[float, int, Callable[[], Awaitable[None]]]] = []
        self._numbers = itertools.count()

    async def run(
        self, arrivals: Iterable[Arrival], heard: Callable[[float], None] = lambda _: None
    ) -> Report:
        """Admit all arrivals and return when the last job has ended; `heard` is called with the
        time."""
        coming = iter(arrivals)
        swept, arrival = 0.0, next(coming, None)
        while arrival is not None or self._events:
            if arrival is not None and (not self._events or arrival.at <= self._events[0][0]):
                self.now = arrival.at
                await self._arrive(arrival)
                arrival = next(coming, None)
            else:
                self.now, _, act = heapq.heappop(self._events)
                await act()
            if self.now >= swept + SWEEP_EVERY_S:
                swept = self.now
                for store in self.stores:
                    await store.sweep()
            await self._claim()
            heard(self.now)
        self.report.span = self.now
        late = len(self._arrivals)
        if late:
            self.report.ends["timed out in the queue"] = late
        return self.report

    async def _arrive(self, arrival: Arrival) -> None:
        job, store = arrival.job(), self.stores[self._arrived % len(self.stores)]
        self._arrived += 1
        try:
            await store.put(job)
        except QueueFull:
            self.report.ends["refused"] += 1
        else:
            self._arrivals[job.id] = arrival

    async def _claim(self) -> None:
        """Let the workers with capacity claim queued jobs."""
        while free := [worker for worker in self._workers if worker.jobs < MAX_JOBS]:
            taken = self._take()
            if taken is None:
                return
            worker = free[self._draws.integers(len(free))]
            worker.claimed.append((*taken, self._arrivals.pop(taken[0].job.id)))
            if not worker.ticking:
                await self._tick(worker)

    def _take(self) -> tuple[Claim, MemoryStore] | None:
        """Return a job that a shard would give at once, and the shard: the next one first."""
        for step in range(1, len(self.stores) + 1):
            number = (self._turn + step) % len(self.stores)
            if (claim := _claimed(self.stores[number])) is not None:
                self._turn = number
                return claim, self.stores[number]
        return None

    async def _tick(self, worker: _Worker) -> None:
        """Begin the next tick, if there is work."""
        begun = len(worker.claimed)
        for claim, store, arrival in worker.claimed:
            self._submit(worker, claim, store, arrival)
        worker.claimed.clear()
        for number in worker.scheduler.expired(self.now):
            await self._end(worker, number)
        ids = worker.scheduler.plan().run
        rows: Counter[int] = Counter()
        price = 0
        for number, positions in by_job(ids):
            kind = worker.running[number].arrival.kind
            rows[kind.probes] += len(positions)
            price += len(positions) * kind.weight
        worker.ticking = len(ids) > 0
        if not worker.ticking:
            return
        seconds = self.cost.tick(rows) + begun * self.cost.job
        report = self.report
        report.ticks, report.busy = report.ticks + 1, report.busy + seconds
        report.price, report.row_evaluations = (
            report.price + price,
            report.row_evaluations + len(ids),
        )

        async def end() -> None:
            await self._tell(worker, ids)
            await self._tick(worker)

        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), end))

    def _submit(self, worker: _Worker, claim: Claim, store: MemoryStore, arrival: Arrival) -> None:
        kind = arrival.kind
        number = worker.scheduler.add(
            kind.rows,
            kind.evaluations,
            weight=kind.weight,
            priority=claim.job.priority,
            deadline=claim.job.deadline,
        )
        takes = None
        if kind.spread:
            factors = self._draws.lognormal(0.0, kind.spread, kind.rows)
            takes = np.maximum(1, np.round(kind.evaluations * factors))
        told = np.zeros(kind.rows)
        worker.running[number] = _Running(claim, store, arrival, kind.rows, takes, told)

    async def _tell(self, worker: _Worker, ids: np.ndarray) -> None:
        """End a tick: advance the rows that ran, and end jobs that have none left."""
        for number, positions in by_job(ids):
            running = worker.running[number]
            told = worker.scheduler.record_evaluations(
                ids[positions], self._progress(running, ids[positions])
            )
            running.left -= int(told.sum())
            if not running.left:
                await self._end(worker, number)

    async def _end(self, worker: _Worker, number: int) -> None:
        """End a job, finished or late."""
        running = worker.running.pop(number)
        worker.scheduler.drop(number)
        done = not running.left
        if not await running.store.complete(running.claim, _DONE if done else _LATE):
            raise AssertionError(f"job {running.claim.job.id} ended twice")
        self.report.ends["succeeded" if done else "timed out"] += 1
        if done:
            seconds = self.now - running.arrival.at + self.cost.edge
            self.report.latencies.setdefault(running.arrival.kind.name, []).append(seconds)

    def _progress(self, running: _Running, ids: np.ndarray) -> np.ndarray | None:
        rows = rows_of(ids)
        running.told[rows] += 1
        if running.takes is None:
            return None
        return np.minimum(1.0, running.told[rows] / running.takes[rows])


def _claimed(store: MemoryStore) -> Claim | None:
    """Return a job that a store would give at once."""
    claiming = store.claim((CHECKPOINT,))
    try:
        claiming.send(None)  # type: ignore[attr-defined]
    except StopIteration as given:
        claim: Claim = given.value
        return claim
    claiming.close()  # type: ignore[attr-defined]
    return None


def utilisation(report: Report, workers: int) -> float:
    """The share of the time in which a worker ticks."""
    return report.busy / (workers * report.span)


def fill(report: Report, limits: SchedulerLimits | None = None) -> float:
    """The mean price of a tick over the largest that one may have."""
    return report.price / (report.ticks * (limits or SchedulerLimits()).tick)
