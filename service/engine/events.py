"""Events of the engine: progress, and one end for each job."""

from dataclasses import dataclass, field

from service.jobs import Outcome, Tokens


@dataclass(frozen=True, slots=True)
class Progress:
    """The share of a job's evaluations that is done, from 0 to 1; it never falls. For a job that is
    watched, tokens `[N, H, W, C]` of images as they are, if it draws any, and their vocabulary."""

    job_id: str
    fraction: float
    preview: Tokens | None = field(default=None, compare=False)
    vocabulary: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """A job's end: its result, or why there is none."""

    job_id: str
    outcome: Outcome


Event = Progress | Ended
