"""The engine: in each tick, every row that runs advances by one network evaluation.

One thread owns the engine, and no lock guards it. Jobs that are cancelled, out of time or failed
lose their rows between two network calls.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from service.engine.arrivals import Arrivals
from service.engine.begin_price import BeginPrice
from service.engine.call_price import CallPrices, CallSizes
from service.engine.calls import Advanced, advanced, network_call
from service.engine.events import Ended, Event
from service.engine.ids import Ids, by_job, row_ids, rows_of
from service.engine.lanes import Lanes
from service.engine.reporting import progress_of
from service.engine.running import LaneKey, RunningJob, service_error
from service.engine.scheduler import Admission, Scheduler, SchedulerLimits
from service.errors import DeadlineExceeded, ServiceError
from service.jobs import Job, Outcome
from service.price import price
from service.rows import AnyRows, Part, PromptRows, Served
from service.telemetry.observers import EngineObserver
from service.telemetry.ticks import Reason, Tick

logger = logging.getLogger(__name__)

NULL_OBSERVER = EngineObserver()


class Engine:
    """Step-level continuous batching over the checkpoints `models`, by SHA-256, which may change
    between two ticks."""

    def __init__(
        self,
        models: Mapping[str, Served],
        limits: SchedulerLimits | None = None,
        observer: EngineObserver = NULL_OBSERVER,
    ) -> None:
        self._models, self._observer = dict(models), observer
        self._tick = Tick()
        self._scheduler = Scheduler(limits)
        self._lanes = Lanes()
        self._running: dict[int, RunningJob] = {}
        self._numbers: dict[str, int] = {}
        self._events: list[Event] = []
        self._prices, self._begin_price = CallPrices(), BeginPrice()
        self._arrivals = Arrivals()

    def __len__(self) -> int:
        """Number of jobs inside."""
        return len(self._running)

    @property
    def idle(self) -> bool:
        """True when a step would change nothing."""
        return not self._running and not self._events

    def serve(self, checkpoint: str, served: Served) -> None:
        """Take jobs of one more checkpoint."""
        self._models[checkpoint] = served

    def withdraw(self, checkpoint: str) -> None:
        """Forget a checkpoint; the caller has seen to it that no job of it is inside."""
        self._models.pop(checkpoint, None)
        self._prices.forget(checkpoint)

    def submit(self, job: Job) -> None:
        """Take in a job; one that is inside already runs on. An error becomes the job's end."""
        if job.id in self._numbers:
            return
        try:
            self._schedule(RunningJob(job, self._models[job.checkpoint]))
        except Exception as error:
            self._events.append(Ended(job.id, service_error(error, job)))
            return
        self._arrivals.count()

    def abort(self, job_id: str) -> None:
        """Drop a job and its rows without an event."""
        number = self._numbers.get(job_id)
        if number is not None:
            self._remove(number)

    def watch(self, job_id: str, watched: bool) -> None:
        """Say whether a job's progress is to come with previews."""
        number = self._numbers.get(job_id)
        if number is not None:
            self._running[number].watched = watched

    def abandon(self, error: ServiceError) -> list[Event]:
        """Drop all jobs, and return the events of their ends, each with this error."""
        self._lanes.clear()
        for number in list(self._running):
            self._fail(number, error)
        return self._take_events()

    @torch.no_grad()
    def step(self, now: float) -> list[Event]:
        """Run one tick at time `now`, in seconds since the epoch, and return its events."""
        tick = self._tick = Tick()
        for number in self._scheduler.expired(now):
            self._fail(number, DeadlineExceeded("the deadline passed; the work was dropped"))
        self._arrivals.tick()
        # A begin is saved only if another job comes while rows are held.
        saved = self._begin_price.ticks * self._arrivals.chance
        plan = self._scheduler.plan(self._call_sizes(), saved)
        tick.lap("plan")
        admissions: dict[LaneKey, list[Admission]] = defaultdict(list)
        for admission in plan.admissions:
            admissions[self._running[admission.job].lane].append(admission)
        for key, several in admissions.items():
            self._admit(key, several)
        tick.lap("begin")
        self._count()
        # The observer hears of the rows before the calls, because a call may hang.
        self._observer.tick_began(tick)
        for keys in self._lanes.by_call():
            self._advance(keys, plan.run, plan.reason)
        self._report()
        tick.lap("report")
        if plan.admissions and tick.calls:
            self._begin_price.record(tick)
        self._observer.tick_ended(tick)
        return self._take_events()

    def notify_idle(self) -> None:
        """Tell the observer that there is no work."""
        self._observer.went_idle()

    def _schedule(self, running: RunningJob) -> None:
        job, work = running.job, running.work
        weight = price(rows=1, probes=work.probes)
        number = self._scheduler.add(
            *(work.rows, work.evaluations, work.group, weight),
            *(job.priority, job.deadline, job.owner),
        )
        self._running[number], self._numbers[job.id] = running, number

    def _call_sizes(self) -> CallSizes:
        lanes = {running.lane for running in self._running.values()}
        quanta = {
            (lane.checkpoint, lane.probes): self._models[lane.checkpoint].denoiser.quantum
            for lane in lanes
        }
        return self._prices.sizes(quanta)

    def _count(self) -> None:
        for key, lane in self._lanes.items():
            self._tick.active[key.name] += len(lane)
        for number, running in self._running.items():
            self._tick.waiting[running.lane.name] += self._scheduler.to_begin(number)

    def _admit(self, key: LaneKey, admissions: Sequence[Admission]) -> None:
        """Begin rows of jobs of one lane, all as one; if that raises, each job alone, so that only
        the one at fault fails."""
        ids = [row_ids(job, np.arange(first, last)) for job, first, last in admissions]
        parts: list[Part[Any]] = [
            Part(self._running[job].work, first, last) for job, first, last in admissions
        ]
        work: AnyRows = parts[0].job
        try:
            if isinstance(work, PromptRows):
                ended = work.begin(parts)
            else:
                self._lanes.admit(key, work, np.concatenate(ids), work.problem(parts))
        except Exception as error:
            if len(admissions) == 1:
                number = admissions[0].job
                self._fail(number, service_error(error, self._running[number].job))
                return
            logger.warning("%d jobs failed to begin, trying each alone: %r", len(parts), error)
            for admission in admissions:
                self._admit(key, [admission])
            return
        if isinstance(work, PromptRows):
            self._scheduler.record_evaluations(np.concatenate(ids))
            self._end(self._collect(np.concatenate(ids), ended))

    def _advance(self, keys: list[LaneKey], ids: Ids, reason: Reason) -> None:
        """Evaluate the rows among `ids` that are in these lanes of one checkpoint, in one call.

        If the call raises, each job is tried alone, so that only the one at fault fails. Trying
        again loses nothing: a lane changes only after its rows have their answers.
        """
        parts = {key: self._lanes[key].among(ids) for key in keys}
        parts = {key: rows for key, rows in parts.items() if len(rows)}
        if not parts:
            return
        try:
            batches = self._evaluate(parts)
        except Exception as error:
            self._isolate(parts, error, reason)
            return
        self._tick.calls.append(network_call(parts, reason))
        for (key, rows), (batch, progress) in zip(parts.items(), batches, strict=True):
            self._lanes[key].write_back(batch)
            ended = self._scheduler.record_evaluations(rows, progress)
            if ended.any():
                self._retire(key, rows[ended])
        self._tick.lap("retire")

    def _evaluate(self, parts: Mapping[LaneKey, Ids]) -> list[Advanced]:
        before = self._tick.seconds
        key, rows = next(iter(parts)), sum(len(ids) for ids in parts.values())
        denoiser = self._models[key.checkpoint].denoiser
        found = advanced(
            denoiser, {self._lanes[key]: ids for key, ids in parts.items()}, self._tick
        )
        seconds = self._tick.seconds - before
        self._prices.record(key.checkpoint, key.probes, denoiser.quantum, rows, seconds)
        return found

    def _isolate(self, parts: Mapping[LaneKey, Ids], error: Exception, reason: Reason) -> None:
        alone = [
            (key, number, rows[positions])
            for key, rows in parts.items()
            for number, positions in by_job(rows)
        ]
        if len(alone) == 1:
            number = alone[0][1]
            self._fail(number, service_error(error, self._running[number].job))
            return
        logger.warning("a call for %d jobs failed, trying each alone: %r", len(alone), error)
        for key, _, rows in alone:
            self._advance([key], rows, reason)

    def _retire(self, key: LaneKey, ids: Ids) -> None:
        """Hand rows that have ended to their jobs, and end each job that has no row left.

        All rows are read as one; if that raises, those of each job alone, so that only the one at
        fault fails.
        """
        lane = self._lanes[key]
        ids = lane.among(ids)
        jobs = by_job(ids)
        try:
            ended = self._running[jobs[0][0]].solved.read(len(ids), *lane.rows(ids))
        except Exception as error:
            if len(jobs) == 1:
                number = jobs[0][0]
                self._fail(number, service_error(error, self._running[number].job))
                return
            logger.warning("%d jobs failed to be read, trying each alone: %r", len(jobs), error)
            for _, positions in jobs:
                self._retire(key, ids[positions])
            return
        ends = self._collect(ids, ended)
        self._lanes.discard(key, ids)
        self._end(ends)

    def _collect(self, ids: Ids, ended: Sequence[Any]) -> list[tuple[int, Outcome | None]]:
        """Hand what rows ended with to their jobs, and return the outcome of each job that has no
        row left, None where further rows follow."""
        ends: list[tuple[int, Outcome | None]] = []
        for number, positions in by_job(ids):
            running, mine = self._running[number], ids[positions]
            try:
                running.work.collect(rows_of(mine).tolist(), [ended[row] for row in positions])
                running.uncollected -= len(mine)
                if not running.uncollected:
                    ends.append((number, running.end()))
            except Exception as error:
                ends.append((number, service_error(error, running.job)))
        return ends

    def _end(self, ends: Sequence[tuple[int, Outcome | None]]) -> None:
        for number, outcome in ends:
            if isinstance(outcome, ServiceError):
                self._fail(number, outcome)
            elif outcome is None:
                self._go_on(number)
            else:
                self._events.append(Ended(self._remove(number).id, outcome))

    def _go_on(self, number: int) -> None:
        """Schedule the further rows that a job has taken."""
        self._scheduler.drop(number)
        self._schedule(self._running.pop(number))

    def _fail(self, number: int, error: ServiceError) -> None:
        self._events.append(Ended(self._running[number].job.id, error))
        self._remove(number)

    def _remove(self, number: int) -> Job:
        running = self._running.pop(number)
        del self._numbers[running.job.id]
        self._scheduler.drop(number)
        self._lanes.discard_job(running.lane, number)
        return running.job

    def _report(self) -> None:
        for number, running in self._running.items():
            share, lane = self._scheduler.progress(number), self._lanes.get(running.lane)
            vocabulary = self._models[running.job.checkpoint].denoiser.config.vocabulary
            event = progress_of(running, number, share, lane, vocabulary)
            if event is not None:
                self._events.append(event)

    def _take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events
