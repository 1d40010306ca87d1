"""Who is told what happens. Each of these does nothing, and stands for nobody.

They are told on the thread where it happens, must not raise, and must not take long.
"""

from typing import Literal, NamedTuple

from service.jobs import Job, JobStatus, Result
from service.telemetry.ticks import Tick

# How a worker's hold on a job ends: with the job, or before.
Ending = JobStatus | Literal["released", "lost"]


class StoreObserver:
    """Of a store that other processes share."""

    def round_trip(self, operation: str, seconds: float) -> None:
        """It answered."""

    def unreachable(self, operation: str, seconds: float) -> None:
        """It did not, or takes no writes."""

    def swept(self, redelivered: int, buried: int) -> None:
        """Jobs of silent workers wait again, or were given up."""


class EngineObserver:
    """Of an engine; told on its thread."""

    def began(self, tick: Tick) -> None:
        """A tick's rows are known, and no network has been asked."""

    def ticked(self, tick: Tick) -> None:
        """A tick is over."""

    def rested(self) -> None:
        """There is nothing left to do."""


class JobObserver:
    """Of the jobs of one worker."""

    def claimed(self, job: Job, waited: float) -> None:
        """It runs here from now on, so many seconds after it was admitted."""

    def ended(self, job: Job, ending: Ending) -> None:
        """It runs here no longer."""

    def ran(self, job: Job, seconds: float) -> None:
        """The engine was done with it, so long after it was claimed."""

    def found(self, job: Job, result: Result) -> None:
        """Its result is stored; told once a job, on a thread of its own."""


class Several(JobObserver):
    """Each is told, in turn."""

    def __init__(self, *each: JobObserver) -> None:
        self._each = each

    def claimed(self, job: Job, waited: float) -> None:
        for one in self._each:
            one.claimed(job, waited)

    def ended(self, job: Job, ending: Ending) -> None:
        for one in self._each:
            one.ended(job, ending)

    def ran(self, job: Job, seconds: float) -> None:
        for one in self._each:
            one.ran(job, seconds)

    def found(self, job: Job, result: Result) -> None:
        for one in self._each:
            one.found(job, result)


class Observers(NamedTuple):
    """Of a worker."""

    jobs: JobObserver = JobObserver()
    engine: EngineObserver = EngineObserver()
