"""Traffic: kinds of requests and their arrival times, in an open loop.

In an open loop the next request comes whether or not the last one was answered.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.schema.specs import Ddpm
from service.jobs import Job
from service.kinds.samples.task import SampleTask
from service.price import price

# The longest time in seconds that a request waits, the service's default.
PATIENCE_S = 120.0
CHECKPOINT = "0" * 64
# The task is arbitrary, because the store does not read it.
_TASK = SampleTask(Ddpm(), seed=0, count=1)


@dataclass(frozen=True, slots=True)
class Kind:
    """Requests of one kind: a `share` of all, with `rows` rows of `evaluations` evaluations each.

    A row with `probes` pulls back as many cotangents. With a `spread` the evaluations of a row are
    log-normal about the expected number, and the scheduler learns them as they are used.
    """

    name: str
    share: float
    rows: int
    evaluations: int
    probes: int = 0
    spread: float = 0.0

    @property
    def weight(self) -> int:
        """Price of one evaluation of a row."""
        return price(rows=1, probes=self.probes)

    @property
    def work(self) -> int:
        """Price of one request, in row-evaluations."""
        return price(self.rows, self.evaluations, self.probes)


# One image and a sheet of images by the default preset, a long DDPM run, verdicts and likelihoods.
MIXED = (
    Kind("one", 0.50, rows=1, evaluations=20),
    Kind("sheet", 0.30, rows=16, evaluations=20),
    Kind("long", 0.03, rows=64, evaluations=250),
    Kind("verdict", 0.12, rows=8, evaluations=39, probes=1),
    Kind("likelihood", 0.05, rows=4, evaluations=71, probes=2, spread=0.2),
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request of a kind and its arrival time in seconds."""

    at: float
    kind: Kind
    number: int

    def job(self) -> Job:
        """Return the job that admission makes of the request."""
        kind = self.kind
        return Job(
            id=str(self.number),
            checkpoint=CHECKPOINT,
            task=_TASK,
            deadline=self.at + PATIENCE_S,
            created_at=self.at,
            cost=kind.work,
        )


def mean_work(kinds: Sequence[Kind]) -> float:
    """Return the mean of a request's priced row-evaluations."""
    return sum(kind.share * kind.work for kind in kinds) / sum(kind.share for kind in kinds)


def poisson(
    kinds: Sequence[Kind], rate: float, seconds: float, seed: int, lead: float = 0.0
) -> Iterator[Arrival]:
    """Yield independent arrivals, `rate` a second on average, from `lead` on."""
    draws = np.random.default_rng(seed)
    shares = np.array([kind.share for kind in kinds])
    at, number = lead, 0
    while (at := at + draws.exponential(1 / rate)) < lead + seconds:
        yield Arrival(at, kinds[draws.choice(len(kinds), p=shares / shares.sum())], number)
        number += 1
