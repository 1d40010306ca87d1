"""A job inside the engine, its rows, and the lane that they are in."""

from importlib import import_module
from typing import NamedTuple

from service.jobs import Job, Task
from service.kinds import KINDS
from service.rows import AnyJobRows, Served
from service.telemetry.ticks import LaneName


class LaneKey(NamedTuple):
    """Rows of one checkpoint and solver whose questions have equally many probes."""

    checkpoint: str
    solver: str
    probes: int

    @property
    def name(self) -> LaneName:
        """The lane as metrics name it, without the probes."""
        return LaneName(self.checkpoint, self.solver)


class Running:
    """A job inside the engine."""

    def __init__(self, job: Job, served: Served) -> None:
        self.job, self.work = job, assign(job.task, served)
        self.lane = LaneKey(job.checkpoint, self.work.solver.name, self.work.probes)
        self.uncollected = self.work.rows
        self.reported = 0.0
        self.watched = False


def assign(task: Task, served: Served) -> AnyJobRows:
    """The rows of a task. Its kind has them in `rows.Rows`, which is imported here alone: the rest
    of a kind runs without torch."""
    rows: AnyJobRows = import_module(f"{KINDS[task.kind].package}.rows").Rows(task, served)
    return rows
