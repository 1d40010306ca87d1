"""Events of the engine: the progress of jobs, and one end for each job."""

from dataclasses import dataclass, field

from service.jobs import Outcome, Tokens


@dataclass(frozen=True, slots=True)
class Progress:
    """The share of a job's evaluations that are done, from 0 to 1; it never falls.

    For a watched job that draws images, `preview` has the first of them as they are now, as tokens
    `[N, H, W, C]`; `vocabulary` is the number of values that a token can take.
    """

    job_id: str
    fraction: float
    preview: Tokens | None = field(default=None, compare=False)
    vocabulary: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a job: its result, or the error in its place."""

    job_id: str
    outcome: Outcome


Event = Progress | Ended
