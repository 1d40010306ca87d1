"""The worker: it claims jobs from the store, has its engines run them, and stores the outcomes."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from service.engine.engine import Engine
from service.engine.events import Ended, Event, Progress
from service.engine.pool import EnginePool
from service.engine.scheduler import SchedulerLimits
from service.engine.thread import EngineThread
from service.errors import ComputationFailed, ServiceError, StoreUnavailable
from service.held_jobs import HeldJobs, WorkersRoom
from service.jobs import Outcome
from service.reports import Reports
from service.rows import Served
from service.store.base import Claim, Store
from service.store.retry import (
    FIRST_BACKOFF,
    cancel_all,
    repeat,
    retry_while_unavailable,
)
from service.store.rules import status_of
from service.telemetry.lines import log_fields
from service.telemetry.observers import Ending, Observers

logger = logging.getLogger(__name__)

# Seconds that a stop waits for the present tick: a device that hangs must not keep the process.
JOIN_WITHIN = 10.0
# Seconds that a suspect is kept for a worker that holds too many jobs beside it.
PATIENCE = 30.0
# Jobs that a worker holds; more wait in the store, where other workers may take them.
MAX_JOBS = 64
# Cancellations that are remembered, because they may be of a job whose claim is still on its way.
MISSED_CANCELLATIONS = 1024
# Seconds between two renewals of leases.
RENEW_EVERY = 10.0
# The part of that after which a renewal that failed is tried again: leases go on ageing.
RENEW_AGAIN = 0.2
# Seconds after which a tick is taken for a hang.
MAX_TICK = 120.0
NULL_OBSERVERS = Observers()


class Worker:
    """A worker for the checkpoints `models`, by SHA-256, which `serve` and `withdraw` change while
    it works. All methods belong to one event loop.

    `others` are the same checkpoints on other devices, each of which has an engine too. A worker is
    started once and stopped once. It holds at most `max_jobs` jobs for each engine, and renews
    their leases every `renew_every` seconds; a tick of more than `max_tick` seconds is a hang. It
    waits `patience` seconds to hold as few jobs as a suspect needs beside it.
    """

    def __init__(
        self,
        store: Store,
        models: Mapping[str, Served],
        limits: SchedulerLimits | None = None,
        max_jobs: int = MAX_JOBS,
        renew_every: float = RENEW_EVERY,
        max_tick: float = MAX_TICK,
        patience: float = PATIENCE,
        observers: Observers = NULL_OBSERVERS,
        others: Sequence[Mapping[str, Served]] = (),
    ) -> None:
        # The store sees each change, since it reads them whenever it looks for a job.
        self._store, self._checkpoints = store, dict.fromkeys(models)
        self._observer = observers.jobs
        engines = [Engine(models, limits, observers.engine)]
        engines += [Engine(other, limits, observers.engine.beside()) for other in others]
        self._engines = EnginePool([EngineThread(engine, self._post) for engine in engines])
        self._renew_every, self._max_tick = renew_every, max_tick
        self._held = HeldJobs()
        self._room = WorkersRoom(self._held, max_jobs * len(engines), patience)
        self._reports = Reports(store, self._held, self._engines.watch)
        self._missed: deque[str] = deque(maxlen=MISSED_CANCELLATIONS)
        self._loops: dict[str, asyncio.Task[None]] = {}
        self._hurry = asyncio.Event()

    async def start(self) -> None:
        """Start the engine, and begin to claim jobs."""
        self._loop = asyncio.get_running_loop()
        self._engines.start()
        # The worker listens before it claims, so that every job it holds can be cancelled.
        self._begin("listen", self._listen)
        self._begin("claim", self._claim)

    def _begin(self, name: str, act: Callable[[], Awaitable[None]]) -> None:
        """Begin a loop, unless it has begun."""
        if name not in self._loops:
            loop = repeat(f"worker's {name} loop", act)
            task = asyncio.create_task(loop, name=f"worker's {name} loop")
            task.add_done_callback(log_crash)
            self._loops[name] = task

    async def stop(self, within: float) -> None:
        """Claim no more jobs, wait `within` seconds for those held, and hand the rest back.

        A dead or hung engine is not waited for. Its jobs are left to their leases: the sweep that
        takes them over counts a death.
        """
        within = within if self.alive and not self.hung else 0.0
        await cancel_all(self._loops["claim"])
        ends = {
            asyncio.create_task(self._held.wait_until(lambda: not len(self._held))),
            asyncio.create_task(self._hurry.wait()),
        }
        await asyncio.wait(ends, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        await cancel_all(*ends)
        # Outcomes that are not in the store yet may never arrive there.
        left = [*self._held.ending.values()]
        if self._ticks:
            left += self._held.running.values()
        elif self.jobs:
            logger.error("the engine hangs: %d jobs are left to their leases", self.jobs)
        if left:
            logger.warning("handing back %d unfinished jobs", len(left))
        await self._reports.close()
        await cancel_all(*self._loops.values(), *self._held.ending)
        await asyncio.gather(*(self._hand_back(claim) for claim in left))
        if not await asyncio.to_thread(self._engines.stop, JOIN_WITHIN):
            logger.error("the engine did not finish its tick within %.0f s", JOIN_WITHIN)

    def serve(self, checkpoint: str, served: Sequence[Served], threads: int) -> None:
        """Claim jobs of one more checkpoint, which is ready on each engine's device; torch computes
        with so many CPU threads from then on."""
        self._engines.serve(checkpoint, served, threads)
        self._checkpoints[checkpoint] = None

    def withdraw(self, checkpoint: str) -> bool:
        """Claim no more jobs of a checkpoint and drop it; return False, and change nothing, while
        one of its jobs is held."""
        if any(claim.job.checkpoint == checkpoint for claim in self._held.running.values()):
            return False
        self._checkpoints.pop(checkpoint, None)
        self._engines.withdraw(checkpoint)
        return True

    def hurry(self) -> None:
        """Have `stop` wait no longer."""
        self._hurry.set()

    @property
    def alive(self) -> bool:
        """Whether the engines' threads and all loops are running."""
        return self._engines.alive and not any(task.done() for task in self._loops.values())

    @property
    def tick_age(self) -> float:
        """Seconds since the present tick began, or 0 without work."""
        return self._engines.tick_age

    @property
    def hung(self) -> bool:
        """Whether the present tick is so long that the engine is taken for hung."""
        return self.tick_age > self._max_tick

    @property
    def _ticks(self) -> bool:
        """Whether the engine is neither dead nor hung."""
        return self._engines.alive and not self.hung

    @property
    def jobs(self) -> int:
        """Number of jobs in the engine."""
        return len(self._held.running)

    async def _claim(self) -> None:
        """Claim jobs and give them to the engines, for as long as there is room."""
        await self._room.wait()
        claim = await retry_while_unavailable(
            lambda: self._store.claim(self._checkpoints, self._room)
        )
        # An earlier claim of the job may have been lost without notice.
        self._let_go(claim.job.id, "lost")
        if claim.job.id in self._missed:
            return
        if claim.job.checkpoint not in self._checkpoints:
            # It was withdrawn while the claim was on its way.
            await self._hand_back(claim)
            return
        self._held.running[claim.job.id] = claim
        part = self._store.part(claim.job.id)
        self._begin(f"renew {part}", partial(self._renew, part))
        try:
            self._observer.claimed(claim.job, max(0.0, time.time() - claim.job.created_at))
            self._engines.submit(claim.job)
        except Exception as error:
            logger.exception("a job could not begin", extra=log_fields(claim.job))
            failed = ComputationFailed(f"the job could not begin: {type(error).__name__}")
            self._on_events([Ended(claim.job.id, failed)])

    async def _renew(self, part: int) -> None:
        """Renew the leases of all jobs of a part of the store, if the engine works, and wait until
        that is due again. Each part has its own loop: a silent one keeps no other waiting."""
        pause = self._renew_every
        try:
            held = (*self._held.running.values(), *self._held.ending.values())
            claims = [claim for claim in held if self._store.part(claim.job.id) == part]
            if claims and self._ticks:
                for claim in await self._store.renew(claims):
                    if self._held.has(claim):
                        logger.info(
                            "the job has been taken over by another worker",
                            extra=log_fields(claim.job),
                        )
                        self._let_go(claim.job.id, "lost")
        except StoreUnavailable as error:
            logger.warning("leases could not be renewed: %s", error)
            pause *= RENEW_AGAIN
        await asyncio.sleep(pause)

    async def _listen(self) -> None:
        try:
            async for job_id in self._store.cancellations():
                if job_id in self._held.running:
                    self._let_go(job_id, "cancelled")
                else:
                    # The job is another worker's, or its claim is on its way here.
                    self._missed.append(job_id)
        except StoreUnavailable as error:
            logger.warning("cancellations cannot be followed: %s", error)
        await asyncio.sleep(FIRST_BACKOFF)

    def _post(self, events: list[Event]) -> None:
        self._loop.call_soon_threadsafe(self._on_events, events)

    def _on_events(self, events: list[Event]) -> None:
        for event in events:
            claim = self._held.running.get(event.job_id)
            if claim is None:
                continue
            if isinstance(event, Progress):
                self._reports.add(event)
            else:
                self._held.pop(event.job_id)
                self._engines.ended(event.job_id)
                self._reports.drop(event.job_id)
                self._observer.left_engine(claim.job, time.monotonic() - claim.since)
                task = asyncio.create_task(
                    self._complete(claim, event.outcome), name="the end of a job"
                )
                task.add_done_callback(log_crash)
                self._held.end(task, claim)

    async def _complete(self, claim: Claim, outcome: Outcome) -> None:
        try:
            stored = await retry_while_unavailable(lambda: self._store.complete(claim, outcome))
        except Exception as error:
            logger.exception("a result cannot be stored", extra=log_fields(claim.job))
            outcome = ComputationFailed(f"the result cannot be stored: {type(error).__name__}")
            failed = outcome
            stored = await retry_while_unavailable(lambda: self._store.complete(claim, failed))
        if not stored:
            logger.info("the job has already ended elsewhere", extra=log_fields(claim.job))
            self._observer.ended(claim.job, "lost")
            return
        self._observer.ended(claim.job, status_of(outcome))
        if not isinstance(outcome, ServiceError):
            # The job has ended, and nobody waits for what observers do with its result.
            self._loop.run_in_executor(None, self._observer.result_stored, claim.job, outcome)

    async def _hand_back(self, claim: Claim) -> None:
        if not self._let_go(claim.job.id, "released"):
            self._observer.ended(claim.job, "released")
        try:
            await self._store.release(claim)
        except StoreUnavailable as error:
            logger.warning("a job could not be handed back: %s", error, extra=log_fields(claim.job))

    def _let_go(self, job_id: str, ending: Ending) -> bool:
        """Drop a job from the engine, and return whether it was there."""
        if claim := self._held.pop(job_id):
            self._observer.ended(claim.job, ending)
            self._reports.drop(job_id)
            self._engines.abort(job_id)
        return claim is not None


def log_crash(task: asyncio.Task[None]) -> None:
    """Log the error with which a task has ended, if any."""
    if not task.cancelled() and (error := task.exception()):
        logger.critical("%s crashed", task.get_name(), exc_info=error)
