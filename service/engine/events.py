"""What the engine tells the world: progress, and one end for each job."""

from dataclasses import dataclass

from service.jobs import Outcome


@dataclass(frozen=True, slots=True)
class Progress:
    """The share of a job's evaluations that is done, from 0 to 1; it never falls."""

    job_id: str
    fraction: float


@dataclass(frozen=True, slots=True)
class Ended:
    """A job's end: its result, or why there is none."""

    job_id: str
    outcome: Outcome


Event = Progress | Ended
