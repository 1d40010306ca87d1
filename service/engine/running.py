"""A job inside the engine, the key of its rows' lane, and the error that it may end with."""

import logging
from importlib import import_module
from typing import NamedTuple

from models.solvers import SAMPLERS
from service.errors import ComputationFailed, ServiceError
from service.jobs import Job, Result, Task
from service.kinds import KINDS
from service.rows import AnyJobRows, AnyRows, PromptRows, Served
from service.telemetry.lines import log_fields
from service.telemetry.ticks import LaneName

logger = logging.getLogger(__name__)


class LaneKey(NamedTuple):
    """The key of a lane: its rows share the checkpoint, by SHA-256, the solver, and the number of
    probes in each query."""

    checkpoint: str
    solver: str
    probes: int

    @property
    def sampling(self) -> bool:
        """True if the rows draw images, which may be done in less precision than the rest."""
        return self.solver in SAMPLERS

    @property
    def name(self) -> LaneName:
        """The lane's name in metrics, where lanes that differ in their probes are one."""
        return LaneName(self.checkpoint, self.solver)


class RunningJob:
    """A job inside the engine. `uncollected` counts the rows that have not ended, `reported` is the
    progress of the last event, and `watched` says whether progress comes with previews."""

    def __init__(self, job: Job, served: Served) -> None:
        self.job = job
        self.reported = 0.0
        self.watched = False
        self.take(assign(job.task, served))

    def take(self, work: AnyRows) -> None:
        """Take these rows, the first or further ones; none of them has begun."""
        self.work = work
        # Prompt rows have no solver of their own, and their task's stands in the lane's name.
        named = self.job.task.solver if isinstance(work, PromptRows) else work.solver
        self.lane = LaneKey(self.job.checkpoint, named.name, work.probes)
        self.uncollected = work.rows
        self._before = self.reported

    def end(self) -> Result | None:
        """Return the job's result, now that all of its rows have ended; None where further rows
        follow, which it has then taken."""
        further = self.work.further()
        if further is None:
            return self.work.result()
        self.take(further)
        return None

    def progress(self, share: float) -> float:
        """The progress of the job where this `share` of its present rows' evaluations is made."""
        return self._before + (1 - self._before) * share

    @property
    def solved(self) -> AnyJobRows:
        """The work of a job whose rows are in a lane."""
        assert not isinstance(self.work, PromptRows)
        return self.work


def assign(task: Task, served: Served) -> AnyRows:
    """The rows of a task. Its kind has them in `rows.Rows`, which is imported here alone: the rest
    of a kind runs without torch."""
    rows: AnyRows = import_module(f"{KINDS[task.kind].package}.rows").Rows(task, served)
    return rows


def service_error(error: Exception, job: Job) -> ServiceError:
    """Return the error as a client sees it; one that is not meant for clients is logged in full."""
    if isinstance(error, ServiceError):
        return error
    logger.error("computation failed", exc_info=error, extra=log_fields(job))
    line = (str(error).splitlines() or [""])[0]
    return ComputationFailed(f"{type(error).__name__}: {line}")
