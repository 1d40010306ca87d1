"""Calls that are owed: an ended job with a `callback_url` is to be told to that URL.

A call is due at some time. Who takes it holds it for a lease, as the attempt of a number that no
other has, and then settles it: it is done, or due again later. If nobody does, because the process
died, the call is due when the lease runs out. So a call outlives every process but the store's, and
is made at least once; an attempt is made by one process.
"""

import time
from collections.abc import Callable

from service.store import replies
from service.store.base import Call, JobSummary
from service.store.replies import UnreadableError
from service.store.scripts import Scripts


class MemoryCallbacks:
    """The calls of a store in memory. `clock` returns seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._calls: dict[str, Call] = {}
        self._due: dict[str, float] = {}

    def owe(self, job: JobSummary, url: str) -> None:
        """Owe the call about a job that has ended, from now on."""
        self._calls[job.id], self._due[job.id] = Call(job, url, 0), self._clock()

    async def take(self, lease_s: float) -> Call | None:
        now = self._clock()
        job_id = min(self._due, key=self._due.__getitem__, default=None)
        if job_id is None or self._due[job_id] > now:
            return None
        last = self._calls[job_id]
        self._due[job_id] = now + lease_s
        call = self._calls[job_id] = Call(last.job, last.url, last.attempt + 1)
        return call

    async def settle(self, call: Call, again_in_s: float | None) -> None:
        if self._calls.get(call.job.id) != call:
            return
        if again_in_s is None:
            del self._calls[call.job.id], self._due[call.job.id]
        else:
            self._due[call.job.id] = self._clock() + again_in_s


class RedisCallbacks:
    """The calls of a store in Redis, as one process makes them."""

    def __init__(self, scripts: Scripts, clock: Callable[[], float] = time.time) -> None:
        self._scripts, self._clock = scripts, clock

    async def take(self, lease_s: float) -> Call | None:
        while reply := await self._scripts.run("take_call", lease_s):
            job_id, attempt, url, flat = reply
            try:
                return Call(replies.summary(job_id.decode(), flat), url.decode(), attempt)
            except (UnreadableError, UnicodeDecodeError) as error:
                self._scripts.damage.tell("call", job_id.decode(errors="replace"), str(error))
                await self._scripts.run("drop_call", job_id)
        return None

    async def settle(self, call: Call, again_in_s: float | None) -> None:
        due = "" if again_in_s is None else self._clock() + again_in_s
        await self._scripts.run("settle_call", call.job.id, call.attempt, due)
