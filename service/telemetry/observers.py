"""Observers: interfaces through which engine, store and worker report what happens.

The base classes do nothing, and are used where nobody observes. An observer is called on the thread
where something happens; it must not raise, and must not take long.
"""

from typing import Literal, NamedTuple

from service.jobs import Job, JobStatus, Result
from service.telemetry.ticks import Tick

# How a worker's hold on a job ends: as the job does, or before the job has ended.
Ending = JobStatus | Literal["released", "lost"]


# What may be found in the store that cannot be read.
UNREADABLE = (
    "key",
    "field",
    "job",
    "queue",
    "worker",
    "model",
    "order",
    "message",
    "letter",
    "call",
)


class StoreObserver:
    """An observer of a store that processes share, in shards that have numbers. Times are in
    seconds."""

    def round_trip(self, operation: str, seconds: float, shard: int) -> None:
        """A shard has answered."""

    def unreachable(self, operation: str, seconds: float, shard: int) -> None:
        """A shard has not answered, or refused the operation."""

    def swept(self, redelivered: int, given_up: int) -> None:
        """A sweep has put jobs of silent workers back into the queue, or given them up."""

    def orphaned(self, jobs: int) -> None:
        """A sweep has cancelled jobs whose clients' process died."""

    def unreadable(self, what: str) -> None:
        """Something was found in the store that cannot be read, of a kind in UNREADABLE."""


class EngineObserver:
    """An observer of an engine, called on its thread."""

    def tick_began(self, tick: Tick) -> None:
        """The rows of a tick are known, and no network has been called."""

    def tick_ended(self, tick: Tick) -> None:
        """A tick is over."""

    def went_idle(self) -> None:
        """The engine has no work left."""

    def beside(self) -> "EngineObserver":
        """Return the observer of one more engine, whose figures are added to this one's."""
        return self


class JobObserver:
    """An observer of the jobs of one worker. Times are in seconds."""

    def claimed(self, job: Job, waited: float) -> None:
        """The worker holds a job, so long after it was admitted."""

    def left_engine(self, job: Job, seconds: float) -> None:
        """The engine has ended a job, so long after it was claimed."""

    def ended(self, job: Job, ending: Ending) -> None:
        """The worker holds a job no longer."""

    def result_stored(self, job: Job, result: Result) -> None:
        """The result of a job is in the store. Called once a job, on a thread of its own."""


class CompositeObserver(JobObserver):
    """An observer that passes everything on to others, in their order."""

    def __init__(self, *observers: JobObserver) -> None:
        self._observers = observers

    def claimed(self, job: Job, waited: float) -> None:
        for observer in self._observers:
            observer.claimed(job, waited)

    def left_engine(self, job: Job, seconds: float) -> None:
        for observer in self._observers:
            observer.left_engine(job, seconds)

    def ended(self, job: Job, ending: Ending) -> None:
        for observer in self._observers:
            observer.ended(job, ending)

    def result_stored(self, job: Job, result: Result) -> None:
        for observer in self._observers:
            observer.result_stored(job, result)


class Observers(NamedTuple):
    """The observers of one worker."""

    jobs: JobObserver = JobObserver()
    engine: EngineObserver = EngineObserver()
