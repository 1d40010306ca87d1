"""A job inside the engine, and the key of the lane that its rows are in."""

from typing import NamedTuple

from service.engine.tasks import Assignment
from service.jobs import Job
from service.telemetry.ticks import LaneName


class LaneKey(NamedTuple):
    """The key of a lane: its rows share the checkpoint, by SHA-256, the solver, and the number of
    probes in each query."""

    checkpoint: str
    solver: str
    probes: int

    @property
    def name(self) -> LaneName:
        """The lane's name in metrics, where lanes that differ in their probes are one."""
        return LaneName(self.checkpoint, self.solver)


class RunningJob:
    """A job inside the engine. `uncollected` counts the rows that have not ended, `reported` is the
    progress of the last event, and `watched` says whether progress comes with previews."""

    def __init__(self, job: Job, work: Assignment) -> None:
        self.job, self.work = job, work
        self.lane = LaneKey(job.checkpoint, work.solver.name, work.probes)
        self.uncollected = work.rows
        self.reported = 0.0
        self.watched = False
