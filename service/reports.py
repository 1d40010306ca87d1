"""The reports of a worker: the progress of its jobs, on its way to the store."""

import asyncio
from collections.abc import Callable
from functools import partial

from models.files.pictures import contact_sheet
from service.engine.events import Progress
from service.errors import StoreUnavailable
from service.held_jobs import HeldJobs
from service.store.base import Store
from service.store.retry import cancel_all, repeat

# Seconds between two reports of a job's progress.
REPORT_EVERY = 0.25


class Reports:
    """The latest progress of each job that a worker holds, until the store has been told.

    Each part of the store is told by a task of its own, because one that is silent must not delay
    what the others are told. `watch` is called where a job begins or ceases to be watched. All
    methods belong to one event loop.
    """

    def __init__(self, store: Store, held: HeldJobs, watch: Callable[[str, bool], None]) -> None:
        self._store, self._held, self._watch = store, held, watch
        self._lines = dict[int, _Line]()
        self._tasks = list[asyncio.Task[None]]()
        self._watched, self._closed = set[str](), False

    def add(self, event: Progress) -> None:
        """Report the progress of a job soon, in place of what was not reported yet."""
        if self._closed:
            return
        part = self._store.part(event.job_id)
        if part not in self._lines:
            line = self._lines[part] = _Line()
            loop = repeat("worker's report loop", partial(self._report, line))
            self._tasks.append(asyncio.create_task(loop, name="worker's report loop"))
        self._lines[part].add(event)

    def drop(self, job_id: str) -> None:
        """Forget a job that is held no longer."""
        self._watched.discard(job_id)

    async def close(self) -> None:
        """Report nothing more."""
        self._closed = True
        await cancel_all(*self._tasks)

    async def _report(self, line: "_Line") -> None:
        for job_id, event in (await line.take()).items():
            if claim := self._held.running.get(job_id):
                try:
                    preview = await _picture(event)
                    watched = await self._store.report(claim, event.fraction, preview)
                except StoreUnavailable:
                    # The other jobs of this part would wait in vain too.
                    break
                self._set_watched(job_id, watched)
        await asyncio.sleep(REPORT_EVERY)

    def _set_watched(self, job_id: str, watched: bool) -> None:
        """Have previews drawn for a job only while somebody watches it."""
        if watched != (job_id in self._watched) and job_id in self._held.running:
            self._watch(job_id, watched)
            (self._watched.add if watched else self._watched.discard)(job_id)


class _Line:
    """The progress that one part of the store is to be told: the latest of each job, by its id."""

    def __init__(self) -> None:
        self._latest = dict[str, Progress]()
        self._due = asyncio.Event()

    def add(self, event: Progress) -> None:
        self._latest[event.job_id] = event
        self._due.set()

    async def take(self) -> dict[str, Progress]:
        """Wait for progress, and return all that is to be told."""
        await self._due.wait()
        self._due.clear()
        taken, self._latest = self._latest, {}
        return taken


async def _picture(event: Progress) -> bytes:
    if event.preview is None:
        return b""
    return await asyncio.to_thread(contact_sheet, event.preview, event.vocabulary)
