"""The store in memory, of a single process: heaps and dictionaries, owned by one event loop."""

import asyncio
import heapq
import itertools
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from dataclasses import replace
from weakref import WeakSet

from service.errors import ServiceError
from service.jobs import Job, JobStatus, Outcome
from service.store import rules
from service.store.base import Claim, JobRecord, JobSummary, Key, Page, always
from service.store.bounds import REMEMBERED, REMEMBERED_S, Bounds
from service.store.entries import Entry
from service.store.news import Advance, News


class MemoryStore:
    """A store in memory. `clock` returns seconds since the epoch."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float] = time.time) -> None:
        self._bounds, self._clock = bounds, clock
        self._entries: dict[str, Entry] = {}
        self._keys: dict[str, str] = {}
        self._queues: dict[str, list[tuple[tuple[int, int], str]]] = {}
        self._queued = self._queued_cost = self._admitted = 0
        # When jobs ended, by id, the oldest first: jobs with a result, and all that are remembered.
        self._ended: dict[str, float] = {}
        self._remembered: dict[str, float] = {}
        self._drained: deque[tuple[float, int]] = deque(maxlen=rules.WINDOW)
        self._arrival = asyncio.Event()
        self._listeners: WeakSet[rules.Cancellations] = WeakSet()

    async def check_capacity(self, cost: int) -> None:
        if refusal := self._load().refusal(cost, self._bounds):
            raise refusal

    async def load(self) -> rules.Load:
        return self._load()

    async def put(self, job: Job, key: Key | None = None, attended: bool = False) -> str:
        self._expire()
        if key is not None and (known := self._keys.get(key.scope)):
            entry = self._entries[known]
            if entry.key != key:
                raise rules.mismatch()
            if entry.summary.status not in rules.WITHOUT_ANSWER:
                if entry.waiters is not None:
                    entry.waiters.add(job.id)
                return known
        await self.check_capacity(job.cost)
        self._admitted += 1
        entry = self._entries[job.id] = Entry.of(job, self._admitted, key, attended)
        if key is not None:
            self._keys[key.scope] = job.id
        self._enqueue(entry)
        return job.id

    async def leave(self, job_id: str, waiter: str) -> None:
        entry = self._entries.get(job_id)
        if entry is None or entry.waiters is None or waiter not in entry.waiters:
            return
        entry.waiters.remove(waiter)
        if entry.waiters:
            return
        kept = entry.key is not None and entry.summary.status in ("succeeded", "failed")
        if not kept:
            await self.cancel(job_id)
            await self.forget(job_id)

    async def claim(
        self, checkpoints: Collection[str], alone: Callable[[], bool] = always
    ) -> Claim:
        # No job outlives its worker in memory, so that none has to run alone.
        while True:
            entry = self._pop(checkpoints)
            if entry is not None:
                entry.epoch += 1
                entry.change("running", started_at=self._clock())
                return Claim(entry.job, entry.epoch)
            self._arrival.clear()
            await self._arrival.wait()

    async def renew(self, claims: Collection[Claim]) -> list[Claim]:
        return [claim for claim in claims if self._held(claim) is None]

    async def sweep(self) -> None:
        now = self._clock()
        for queue in self._queues.values():
            for _, job_id in queue.copy():
                entry = self._entries[job_id]
                if entry.summary.deadline <= now:
                    self._withdraw(entry)
                    self._end(entry, rules.too_late())
        self._expire()

    async def report(self, claim: Claim, progress: float, preview: bytes = b"") -> bool:
        entry = self._held(claim)
        if entry is None:
            return False
        if entry.watchers:
            entry.last_number += 1
            entry.recent.append(Advance(entry.last_number, progress, preview))
        entry.change("running", progress=progress)
        return entry.watchers > 0

    async def complete(self, claim: Claim, outcome: Outcome) -> bool:
        entry = self._held(claim)
        if entry is None:
            return False
        self._end(entry, outcome)
        self._drained.append((self._clock(), claim.job.cost))
        return True

    async def release(self, claim: Claim) -> None:
        entry = self._held(claim)
        if entry is not None:
            entry.last_number += 1
            entry.recent.clear()
            entry.change("queued", progress=0.0, started_at=None)
            self._enqueue(entry)

    async def cancel(self, job_id: str) -> None:
        entry = self._entry(job_id)
        if entry.ended:
            return
        held = entry.summary.status == "running"
        if not held:
            self._withdraw(entry)
        self._end(entry, rules.cancelled())
        if held:
            for listener in self._listeners:
                listener.add(job_id)

    async def summary(self, job_id: str) -> JobSummary:
        self._expire()
        return self._entry(job_id).summary

    async def jobs(
        self, owner: str | None, status: JobStatus | None, limit: int, before: int | None
    ) -> Page:
        self._expire()
        found: list[JobSummary] = []
        for entry in reversed(self._entries.values()):
            job = entry.summary
            if (
                owner in (None, job.owner)
                and status in (None, job.status)
                and (before is None or job.place < before)
            ):
                if len(found) == limit:
                    return Page(found, found[-1].place)
                found.append(job)
        return Page(found, None)

    async def record(self, job_id: str) -> JobRecord:
        self._expire()
        entry = self._entry(job_id)
        if entry.record is None:
            raise rules.expired(job_id)
        return entry.record

    async def wait(self, job_id: str) -> JobRecord:
        entry = self._entry(job_id)
        while not entry.ended:
            await entry.changed.wait()
        if entry.record is None:
            raise rules.expired(job_id)
        return entry.record

    async def watch(self, job_id: str, after: int | None) -> AsyncGenerator[News]:
        entry = self._entry(job_id)
        entry.watchers += 1
        try:
            while True:
                changed, ended = entry.changed, entry.ended
                for one in entry.progress_log.since(after):
                    yield one
                    after = one.number
                if ended:
                    return
                await changed.wait()
        finally:
            entry.watchers -= 1

    async def expire(self, job_id: str) -> None:
        entry = self._entries.get(job_id)
        if entry is not None and entry.ended:
            self._drop_result(entry)
            self._ended.pop(job_id, None)

    async def forget(self, job_id: str) -> None:
        entry = self._entries.get(job_id)
        if entry is not None and entry.ended:
            await self.expire(job_id)
            del self._entries[job_id], self._remembered[job_id]

    def cancellations(self) -> AsyncIterator[str]:
        listener = rules.Cancellations()
        self._listeners.add(listener)
        return listener

    def _entry(self, job_id: str) -> Entry:
        try:
            return self._entries[job_id]
        except KeyError:
            raise rules.unknown(job_id) from None

    def _held(self, claim: Claim) -> Entry | None:
        """Return the entry of a claimed job, if this claim still holds the job."""
        entry = self._entries.get(claim.job.id)
        if entry is None or entry.epoch != claim.epoch or entry.summary.status != "running":
            return None
        return entry

    def _enqueue(self, entry: Entry) -> None:
        job = entry.summary
        if not self._queued:
            self._drained.clear()
            self._drained.append((self._clock(), 0))
        heapq.heappush(self._queues.setdefault(job.checkpoint, []), (entry.order, job.id))
        self._queued += 1
        self._queued_cost += job.cost
        self._arrival.set()

    def _unqueue(self, entry: Entry) -> None:
        self._queued -= 1
        self._queued_cost -= entry.summary.cost

    def _withdraw(self, entry: Entry) -> None:
        """Take a job out of its queue, which is short enough to search because it is bounded."""
        job = entry.summary
        queue = self._queues[job.checkpoint]
        queue.remove((entry.order, job.id))
        heapq.heapify(queue)
        self._unqueue(entry)

    def _pop(self, checkpoints: Collection[str]) -> Entry | None:
        """Take the first job off the queues, and end those that are past their deadline."""
        while queues := [queue for sha in checkpoints if (queue := self._queues.get(sha))]:
            _, job_id = heapq.heappop(min(queues, key=lambda queue: queue[0]))
            entry = self._entries[job_id]
            self._unqueue(entry)
            if entry.summary.deadline > self._clock():
                return entry
            self._end(entry, rules.too_late())
        return None

    def _end(self, entry: Entry, outcome: Outcome) -> None:
        now = self._clock()
        if entry.record is not None:
            entry.record = replace(entry.record, outcome=outcome)
        failed = isinstance(outcome, ServiceError)
        progress = entry.summary.progress if failed else 1.0
        entry.change(rules.status_of(outcome), progress=progress, finished_at=now)
        self._ended[entry.summary.id] = self._remembered[entry.summary.id] = now
        self._expire()

    def _expire(self) -> None:
        """Drop results that are too old or too many, and then the memory of old jobs."""
        bounds, now = self._bounds, self._clock()
        for job_id in _surplus(self._ended, bounds.retained, now - bounds.retention_s):
            del self._ended[job_id]
            self._drop_result(self._entries[job_id])
        oldest = now - bounds.retention_s - REMEMBERED_S
        for job_id in _surplus(self._remembered, REMEMBERED, oldest):
            self._ended.pop(job_id, None)
            self._drop_result(self._entries[job_id])
            del self._entries[job_id], self._remembered[job_id]

    def _drop_result(self, entry: Entry) -> None:
        entry.record = None
        entry.recent.clear()
        if entry.key is not None and self._keys.get(entry.key.scope) == entry.summary.id:
            del self._keys[entry.key.scope]

    def _load(self) -> rules.Load:
        """Return how much is queued, and how the queue has drained since jobs began to wait."""
        since = self._drained[0][0] if self._drained else self._clock()
        return rules.Load(
            self._queued,
            self._queued_cost,
            len(self._drained) - 1,
            sum(cost for _, cost in itertools.islice(self._drained, 1, None)),
            self._clock() - since,
            running=len(self._entries) - self._queued - len(self._remembered),
        )


def _surplus(ends: dict[str, float], most: int, oldest: float) -> list[str]:
    """Return the first ids of `ends`, which are in order of time: all beyond `most`, and all that
    ended before `oldest`."""
    surplus = len(ends) - most
    first = itertools.takewhile(
        lambda end: end[0] < surplus or end[1][1] < oldest, enumerate(ends.items())
    )
    return [job_id for _, (job_id, _) in first]
