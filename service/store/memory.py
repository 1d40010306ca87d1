"""The store of a single process: a heap and a dictionary, owned by one event loop."""

import asyncio
import heapq
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field, replace
from weakref import WeakSet

from service.errors import QueueFull, ServiceError, UnknownJob
from service.jobs import Job, Outcome
from service.store import rules
from service.store.base import Claim, Record


@dataclass(slots=True)
class _Entry:
    """A job and its standing. `order` sorts the queue, and survives a release."""

    record: Record
    order: tuple[int, int]
    epoch: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class MemoryStore:
    """At most `capacity` jobs wait. Of ended jobs, the `retained` latest are remembered, none
    longer than `retention_s`. `clock` gives seconds since the epoch."""

    def __init__(
        self,
        capacity: int,
        retained: int,
        retention_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._capacity = capacity
        self._retained = retained
        self._retention_s = retention_s
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._queues: dict[str, list[tuple[tuple[int, int], str]]] = {}
        self._queued = 0
        self._admitted = 0
        self._ended: deque[tuple[float, str]] = deque()
        self._drained: deque[float] = deque(maxlen=rules.WINDOW)
        self._arrival = asyncio.Event()
        self._listeners: WeakSet[rules.Cancellations] = WeakSet()

    async def put(self, job: Job) -> None:
        self._expire()
        if self._queued >= self._capacity:
            raise QueueFull(f"{self._queued} jobs wait, the most allowed", self._retry_after())
        self._admitted += 1
        entry = _Entry(Record(job, "queued"), (-job.priority, self._admitted))
        self._entries[job.id] = entry
        self._enqueue(entry)

    async def claim(self, checkpoints: Collection[str]) -> Claim:
        while True:
            entry = self._pop(checkpoints)
            if entry is not None:
                entry.epoch += 1
                entry.record = replace(entry.record, status="running", started_at=self._clock())
                return Claim(entry.record.job, entry.epoch)
            self._arrival.clear()
            await self._arrival.wait()

    async def renew(self, claims: Collection[Claim]) -> list[Claim]:
        return [claim for claim in claims if self._held(claim) is None]

    async def sweep(self) -> None:
        now = self._clock()
        for queue in self._queues.values():
            for _, job_id in queue.copy():
                entry = self._entries[job_id]
                if entry.record.job.deadline <= now:
                    self._withdraw(entry)
                    self._end(entry, rules.too_late())

    async def report(self, claim: Claim, progress: float) -> None:
        entry = self._held(claim)
        if entry is not None:
            entry.record = replace(entry.record, progress=progress)

    async def complete(self, claim: Claim, outcome: Outcome) -> bool:
        entry = self._held(claim)
        if entry is None:
            return False
        self._end(entry, outcome)
        self._drained.append(self._clock())
        return True

    async def release(self, claim: Claim) -> None:
        entry = self._held(claim)
        if entry is not None:
            entry.record = Record(entry.record.job, "queued")
            self._enqueue(entry)

    async def cancel(self, job_id: str) -> None:
        entry = self._entry(job_id)
        if entry.ended.is_set():
            return
        held = entry.record.status == "running"
        if not held:
            self._withdraw(entry)
        self._end(entry, rules.cancelled())
        if held:
            for listener in self._listeners:
                listener.tell(job_id)

    async def record(self, job_id: str) -> Record:
        self._expire()
        return self._entry(job_id).record

    async def wait(self, job_id: str) -> Record:
        entry = self._entry(job_id)
        await entry.ended.wait()
        return entry.record

    async def forget(self, job_id: str) -> None:
        entry = self._entries.get(job_id)
        if entry is not None and entry.ended.is_set():
            del self._entries[job_id]
            # Else it would go on taking the place of one that is remembered.
            self._ended = deque(end for end in self._ended if end[1] != job_id)

    def cancellations(self) -> AsyncIterator[str]:
        listener = rules.Cancellations()
        self._listeners.add(listener)
        return listener

    def _entry(self, job_id: str) -> _Entry:
        try:
            return self._entries[job_id]
        except KeyError:
            raise UnknownJob(f"no job {job_id!r}") from None

    def _held(self, claim: Claim) -> _Entry | None:
        """The claimed job, if this claim still holds it."""
        entry = self._entries.get(claim.job.id)
        if entry is None or entry.epoch != claim.epoch or entry.record.status != "running":
            return None
        return entry

    def _enqueue(self, entry: _Entry) -> None:
        job = entry.record.job
        if not self._queued:
            self._drained.clear()
            self._drained.append(self._clock())
        heapq.heappush(self._queues.setdefault(job.checkpoint, []), (entry.order, job.id))
        self._queued += 1
        self._arrival.set()

    def _withdraw(self, entry: _Entry) -> None:
        """Take a job out of the middle of its queue, which is short: it is bounded."""
        job = entry.record.job
        queue = self._queues[job.checkpoint]
        queue.remove((entry.order, job.id))
        heapq.heapify(queue)
        self._queued -= 1

    def _pop(self, checkpoints: Collection[str]) -> _Entry | None:
        """Take the first job in time off the queues; those past their deadline end here."""
        while queues := [queue for sha in checkpoints if (queue := self._queues.get(sha))]:
            _, job_id = heapq.heappop(min(queues, key=lambda queue: queue[0]))
            entry = self._entries[job_id]
            self._queued -= 1
            if entry.record.job.deadline > self._clock():
                return entry
            self._end(entry, rules.too_late())
        return None

    def _end(self, entry: _Entry, outcome: Outcome) -> None:
        now = self._clock()
        entry.record = replace(
            entry.record,
            status=rules.status_of(outcome),
            progress=entry.record.progress if isinstance(outcome, ServiceError) else 1.0,
            finished_at=now,
            outcome=outcome,
        )
        entry.ended.set()
        self._ended.append((now, entry.record.job.id))
        self._expire()

    def _expire(self) -> None:
        oldest = self._clock() - self._retention_s
        while self._ended and (len(self._ended) > self._retained or self._ended[0][0] < oldest):
            _, job_id = self._ended.popleft()
            self._entries.pop(job_id, None)

    def _retry_after(self) -> int:
        """Seconds in which the waiting jobs would drain at the rate since they began to wait."""
        elapsed = self._clock() - self._drained[0]
        return rules.retry_after(self._queued, len(self._drained) - 1, elapsed)
