"""A job inside the engine, and the key of the lane that its rows are in."""

from importlib import import_module
from typing import NamedTuple

from models.solvers import SAMPLERS
from service.jobs import Job, Task
from service.kinds import KINDS
from service.rows import AnyJobRows, AnyRows, PromptRows, Served
from service.telemetry.ticks import LaneName


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
        self.job, self.work = job, assign(job.task, served)
        # Prompt rows have no solver of their own, and their task's stands in the lane's name.
        named = job.task.solver if isinstance(self.work, PromptRows) else self.work.solver
        self.lane = LaneKey(job.checkpoint, named.name, self.work.probes)
        self.uncollected = self.work.rows
        self.reported = 0.0
        self.watched = False

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
