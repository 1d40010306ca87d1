"""A job inside the engine, and the lane that its rows are in."""

from typing import NamedTuple

from service.engine.tasks import Assignment
from service.jobs import Job
from service.telemetry.ticks import LaneName


class LaneKey(NamedTuple):
    """Rows of one checkpoint and solver whose questions have equally many probes."""

    checkpoint: str
    solver: str
    probes: int

    @property
    def name(self) -> LaneName:
        """Without the probes."""
        return LaneName(self.checkpoint, self.solver)


class Running:
    """A job inside the engine."""

    def __init__(self, job: Job, work: Assignment) -> None:
        self.job, self.work = job, work
        self.lane = LaneKey(job.checkpoint, work.solver.name, work.probes)
        self.uncollected = work.rows
        self.reported = 0.0
        self.watched = False
