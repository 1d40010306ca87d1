"""Joins store and engine: claims jobs while the engine has room, reports what becomes of them."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping

from models.files.pictures import contact_sheet
from service.engine.engine import Engine
from service.engine.events import Event, Progress
from service.engine.scheduler import Limits
from service.engine.thread import EngineThread
from service.errors import ServiceError, StoreUnavailable
from service.holdings import Holdings
from service.jobs import Outcome
from service.quarantine import Quarantine
from service.rows import Served
from service.store.base import Claim, Store
from service.store.retry import FIRST_BACKOFF, cancel_all, retry_while_unavailable
from service.store.rules import status_of
from service.telemetry.lines import ids
from service.telemetry.observers import Ending, Observers

logger = logging.getLogger(__name__)

# Seconds, between reports of one job's progress.
REPORT_EVERY = 0.25
# For a tick to end at a stop; a device that hangs must not keep the process.
JOIN_WITHIN = 10.0
# For running jobs to end, so that a suspect may run alone.
PATIENCE = 30.0
# More jobs than these wait in the store, where another worker may take them.
MAX_JOBS = 64
# So many of the latest cancellations may be of jobs that a claim is still bringing.
MISSED = 1024
# Seconds: between renewals of what is held, and after which a tick is taken for a hang. A renewal
# that failed is tried again after a part of that: leases age while the store is away.
TEND_EVERY = 10.0
TEND_AGAIN = 0.2
MAX_TICK = 120.0
NOBODY = Observers()


class Worker:
    """Owns the engine's thread. All methods belong to one event loop.

    Meant for `await start()`, then, once, `await stop(within)`.
    """

    def __init__(
        self,
        store: Store,
        models: Mapping[str, Served],
        limits: Limits | None = None,
        max_jobs: int = MAX_JOBS,
        tend_every: float = TEND_EVERY,
        max_tick: float = MAX_TICK,
        patience: float = PATIENCE,
        observers: Observers = NOBODY,
    ) -> None:
        self._store, self._checkpoints = store, tuple(models)
        self._observer = observers.jobs
        self._max_jobs, self._tend_every, self._max_tick = max_jobs, tend_every, max_tick
        self._thread = EngineThread(Engine(models, limits, observers.engine), self._post)
        self._held = Holdings()
        self._quarantine = Quarantine(self._held, patience)
        self._progress: dict[str, Progress] = {}
        self._watched: set[str] = set()
        self._missed: deque[str] = deque(maxlen=MISSED)
        self._loops: dict[str, asyncio.Task[None]] = {}
        self._news, self._hurry = asyncio.Event(), asyncio.Event()

    async def start(self) -> None:
        """Begin to claim jobs."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        # Listening comes first: a job that is held can be cancelled.
        for name, loop in (
            ("listen", self._listen),
            ("report", self._report),
            ("tend", self._tend),
            ("claim", self._claim),
        ):
            task = asyncio.create_task(loop(), name=f"worker's {name} loop")
            task.add_done_callback(_log_crash)
            self._loops[name] = task

    async def stop(self, within: float) -> None:
        """Claim no more; wait `within` seconds for what is held, and hand the rest back. A dead or
        hung engine is not waited for, and what it held is left to its leases: whoever takes that
        over counts a death."""
        within = within if self.alive and not self.hung else 0.0
        await cancel_all(self._loops["claim"])
        ends = {asyncio.create_task(self._held.only()), asyncio.create_task(self._hurry.wait())}
        await asyncio.wait(ends, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        await cancel_all(*ends)
        # Also of results that the store has not taken: it may know nothing of them.
        left = [*self._held.ending.values()]
        if self._ticks:
            left += self._held.running.values()
        elif self.jobs:
            logger.error("the engine hangs: %d jobs are left to their leases", self.jobs)
        if left:
            logger.warning("handing back %d unfinished jobs", len(left))
        await cancel_all(*self._loops.values(), *self._held.ending)
        await asyncio.gather(*(self._hand_back(claim) for claim in left))
        if not await asyncio.to_thread(self._thread.stop, JOIN_WITHIN):
            logger.error("the engine did not finish its tick within %.0f s", JOIN_WITHIN)

    def hurry(self) -> None:
        """Let a stop wait no longer."""
        self._hurry.set()

    @property
    def alive(self) -> bool:
        """Whether everything that should run still runs."""
        return self._thread.alive and not any(task.done() for task in self._loops.values())

    @property
    def tick_age(self) -> float:
        """Seconds that the engine has spent on the present tick."""
        return self._thread.tick_age

    @property
    def hung(self) -> bool:
        """Whether that is so long that the engine will not come back."""
        return self.tick_age > self._max_tick

    @property
    def _ticks(self) -> bool:
        """Whether the engine is neither dead nor hung."""
        return self._thread.alive and not self.hung

    @property
    def jobs(self) -> int:
        """Number of jobs held."""
        return len(self._held.running)

    async def _claim(self) -> None:
        while True:
            await self._held.fewer_than(self._max_jobs)
            claim = await retry_while_unavailable(
                lambda: self._store.claim(self._checkpoints, self._quarantine.open)
            )
            # It may be held already, by a claim that was lost without our hearing of it.
            self._let_go(claim.job.id, "lost")
            if claim.job.id in self._missed:
                continue
            self._held.running[claim.job.id] = claim
            self._observer.claimed(claim.job, max(0.0, time.time() - claim.job.created_at))
            if claim.alone:
                await self._run_alone(claim)
            else:
                self._thread.submit(claim.job)

    async def _run_alone(self, claim: Claim) -> None:
        """Run a suspect and nothing beside it, or hand it back."""
        begins = False
        try:
            if await self._quarantine.entered(claim):
                await retry_while_unavailable(lambda: self._store.report(claim, 0.0))
                begins = self._held.has(claim)
        finally:
            if not begins and self._held.has(claim):
                await self._hand_back(claim)
        if begins:
            self._thread.submit(claim.job)
            # Its result too is safe before anything else can bring the worker down.
            await self._held.only()

    async def _tend(self) -> None:
        """Renew what is worked on, for as long as the engine does."""
        while True:
            pause = self._tend_every
            try:
                if self._ticks:
                    claims = (*self._held.running.values(), *self._held.ending.values())
                    for claim in await self._store.renew(claims):
                        if self._held.has(claim):
                            logger.info("a job is no longer ours", extra=ids(claim.job))
                            self._let_go(claim.job.id, "lost")
            except StoreUnavailable as error:
                logger.warning("nothing could be renewed: %s", error)
                pause *= TEND_AGAIN
            await asyncio.sleep(pause)

    async def _listen(self) -> None:
        while True:
            try:
                async for job_id in self._store.cancellations():
                    if job_id in self._held.running:
                        self._let_go(job_id, "cancelled")
                    else:
                        # Another worker's, or one that is on its way to us.
                        self._missed.append(job_id)
            except StoreUnavailable as error:
                logger.warning("cancellations are not heard: %s", error)
            await asyncio.sleep(FIRST_BACKOFF)

    async def _report(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            progress, self._progress = self._progress, {}
            for job_id, event in progress.items():
                if claim := self._held.running.get(job_id):
                    try:
                        preview = await _picture(event)
                        watched = await self._store.report(claim, event.fraction, preview)
                    except StoreUnavailable:
                        break
                    self._note(job_id, watched)
            await asyncio.sleep(REPORT_EVERY)

    def _note(self, job_id: str, watched: bool) -> None:
        """Previews are drawn only for those who watch."""
        if watched != (job_id in self._watched) and job_id in self._held.running:
            self._thread.watch(job_id, watched)
            (self._watched.add if watched else self._watched.discard)(job_id)

    def _post(self, events: list[Event]) -> None:
        self._loop.call_soon_threadsafe(self._on_events, events)

    def _on_events(self, events: list[Event]) -> None:
        for event in events:
            claim = self._held.running.get(event.job_id)
            if claim is None:
                continue
            if isinstance(event, Progress):
                self._progress[event.job_id] = event
                self._news.set()
            else:
                self._held.pop(event.job_id)
                self._watched.discard(event.job_id)
                self._observer.ran(claim.job, time.monotonic() - claim.since)
                task = asyncio.create_task(self._complete(claim, event.outcome))
                task.add_done_callback(_log_crash)
                self._held.end(task, claim)

    async def _complete(self, claim: Claim, outcome: Outcome) -> None:
        if not await retry_while_unavailable(lambda: self._store.complete(claim, outcome)):
            logger.info("a job had ended elsewhere", extra=ids(claim.job))
            self._observer.ended(claim.job, "lost")
            return
        self._observer.ended(claim.job, status_of(outcome))
        if not isinstance(outcome, ServiceError):
            # The job has ended: nobody waits for what is made of its result here.
            self._loop.run_in_executor(None, self._observer.found, claim.job, outcome)

    async def _hand_back(self, claim: Claim) -> None:
        if not self._let_go(claim.job.id, "released"):
            self._observer.ended(claim.job, "released")
        try:
            await self._store.release(claim)
        except StoreUnavailable as error:
            logger.warning("a job was not handed back: %s", error, extra=ids(claim.job))

    def _let_go(self, job_id: str, ending: Ending) -> bool:
        """Drop a job; whether it was held."""
        if claim := self._held.pop(job_id):
            self._observer.ended(claim.job, ending)
            self._watched.discard(job_id)
            self._thread.abort(job_id)
        return claim is not None


async def _picture(event: Progress) -> bytes:
    if event.preview is None:
        return b""
    return await asyncio.to_thread(contact_sheet, event.preview, event.vocabulary)


def _log_crash(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        logger.critical("%s crashed", task.get_name(), exc_info=error)
