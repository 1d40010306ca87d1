"""The store in memory, of a single process: heaps and dictionaries, owned by one event loop."""

import asyncio
import contextlib
import itertools
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from dataclasses import replace
from weakref import WeakSet

from service.errors import ServiceError
from service.jobs import Job, JobStatus, Outcome
from service.store import ids, rules
from service.store.base import ANY_ROOM, Claim, JobRecord, JobSummary, Key, Page, Room
from service.store.bounds import REMEMBERED, REMEMBERED_S, Bounds
from service.store.callbacks import MemoryCallbacks
from service.store.entries import Entry, page
from service.store.kept import KeptResults
from service.store.news import Advance, News
from service.store.waiting import WaitingJobs


class MemoryStore:
    """A store in memory. `clock` returns seconds since the epoch."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float] = time.time) -> None:
        self._bounds, self._clock = bounds, clock
        self._entries: dict[str, Entry] = {}
        self._keys: dict[str, str] = {}
        self._waiting, self._kept = WaitingJobs(), KeptResults(bounds, self._awaited)
        self._admitted = 0
        # Ids of ended jobs whose result is gone, in that order, and when they ended.
        self._remembered: dict[str, float] = {}
        self._drained: deque[tuple[float, int]] = deque(maxlen=rules.WINDOW)
        self._arrival = asyncio.Event()
        self._listeners: WeakSet[rules.Cancellations] = WeakSet()
        self.callbacks = MemoryCallbacks(clock)

    def new_id(self, key: Key | None = None) -> str:
        return ids.new_id(self._clock())

    def part(self, job_id: str) -> int:
        return 0

    async def check_capacity(self, owner: str, cost: int) -> None:
        if refusal := self._load(owner).refusal(cost, self._bounds):
            raise refusal

    async def knows(self, key: Key) -> bool:
        self._expire()
        return self._known(key) is not None

    async def load(self) -> rules.Load:
        return self._load()

    async def has_jobs(self, checkpoint: str) -> bool:
        return any(
            not entry.ended and entry.summary.checkpoint == checkpoint
            for entry in self._entries.values()
        )

    async def put(self, job: Job, key: Key | None = None, attended: bool = False) -> str:
        self._expire()
        if key is not None and (known := self._known(key)):
            if known.waiters is not None:
                known.waiters.add(job.id)
            return known.summary.id
        await self.check_capacity(job.owner, job.cost)
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

    async def claim(self, checkpoints: Collection[str], room: Room = ANY_ROOM) -> Claim:
        # No job outlives its worker in memory, so that none is a suspect.
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
        for job_id in self._waiting.ids():
            entry = self._entries[job_id]
            if entry.summary.deadline <= now:
                self._waiting.remove(entry.summary, entry.order)
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
            self._waiting.remove(entry.summary, entry.order)
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
        return page(reversed(self._entries.values()), owner, status, limit, before)

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
        async with contextlib.aclosing(self._entry(job_id).watch(after)) as several:
            async for one in several:
                yield one

    async def expire(self, job_id: str) -> None:
        entry = self._entries.get(job_id)
        if entry is not None and entry.ended and entry.record is not None:
            self._drop_result(entry)

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

    def _known(self, key: Key) -> Entry | None:
        """The job that a request with this key joins. Raises InvalidRequest (idempotency-mismatch)
        where the key was used for another request."""
        job_id = self._keys.get(key.scope)
        if job_id is None:
            return None
        entry = self._entries[job_id]
        if entry.key != key:
            raise rules.mismatch()
        return None if entry.summary.status in rules.WITHOUT_ANSWER else entry

    def _awaited(self, job_id: str) -> bool:
        """Whether somebody waits for the job's result, and has not yet been given it."""
        return bool(self._entries[job_id].waiters)

    def _enqueue(self, entry: Entry) -> None:
        if not self._waiting:
            self._drained.clear()
            self._drained.append((self._clock(), 0))
        self._waiting.add(entry.summary, entry.order)
        self._arrival.set()

    def _pop(self, checkpoints: Collection[str]) -> Entry | None:
        """Take the first job in time off the queues; those past their deadline end here."""
        while job_id := self._waiting.first(checkpoints):
            entry = self._entries[job_id]
            self._waiting.remove(entry.summary, entry.order)
            if entry.summary.deadline > self._clock():
                self._waiting.took(entry.summary)
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
        if entry.record is not None:
            job = entry.record.job
            self._kept.add(job, outcome, now)
            if job.callback_url is not None:
                self.callbacks.owe(entry.summary, job.callback_url)
        self._expire()

    def _expire(self) -> None:
        """Drop results that are too old or too many, and later all that is known of their jobs."""
        now = self._clock()
        for _, job_id in self._kept.surplus(now):
            self._drop_result(self._entries[job_id])
        oldest = now - self._bounds.kept_s - REMEMBERED_S
        for job_id in _surplus(self._remembered, REMEMBERED, oldest):
            del self._entries[job_id], self._remembered[job_id]

    def _drop_result(self, entry: Entry) -> None:
        """Forget what an ended job was answered with; that it ended is remembered."""
        job = entry.summary
        self._kept.remove(job.owner, job.id)
        self._remembered[job.id] = job.finished_at or 0.0
        entry.record = None
        entry.recent.clear()
        if entry.key is not None and self._keys.get(entry.key.scope) == entry.summary.id:
            del self._keys[entry.key.scope]

    def _load(self, owner: str = "") -> rules.Load:
        """Return how much is queued, in all and of an owner, and how the queue has drained since
        jobs began to wait."""
        since = self._drained[0][0] if self._drained else self._clock()
        return rules.Load(
            len(self._waiting),
            self._waiting.cost,
            len(self._drained) - 1,
            sum(cost for _, cost in itertools.islice(self._drained, 1, None)),
            self._clock() - since,
            running=len(self._entries)
            - len(self._waiting)
            - len(self._kept)
            - len(self._remembered),
            own=self._waiting.of(owner),
            owners=self._waiting.owners_with(owner),
        )


def _surplus(ends: dict[str, float], most: int, oldest: float) -> list[str]:
    """Return the first ids of `ends`, which are in order of time: all beyond `most`, and all that
    ended before `oldest`."""
    surplus = len(ends) - most
    first = itertools.takewhile(
        lambda end: end[0] < surplus or end[1][1] < oldest, enumerate(ends.items())
    )
    return [job_id for _, (job_id, _) in first]
