"""Traffic: kinds of requests, and when each comes. Open loop: requests come whether or not others
were answered."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.schema.specs import Ddpm
from service.jobs import Job
from service.kinds.samples.task import SampleTask
from service.price import price

# Seconds that a request waits at most, as the service has it by default.
PATIENCE_S = 120.0
CHECKPOINT = "0" * 64
# The store does not look at what a job is to do.
_TASK = SampleTask(Ddpm(), seed=0, count=1)


@dataclass(frozen=True, slots=True)
class Kind:
    """Requests of one kind: a `share` of all, `rows` of `evaluations` each. A row that has `probes`
    pulls back as many cotangents. Where there is a `spread`, a row's evaluations are log-normal
    about the expected number, and the scheduler learns them as they go."""

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


# One image and a sheet by the default preset, a long DDPM, verdicts, likelihoods.
MIXED = (
    Kind("one", 0.50, rows=1, evaluations=20),
    Kind("sheet", 0.30, rows=16, evaluations=20),
    Kind("long", 0.03, rows=64, evaluations=250),
    Kind("verdict", 0.12, rows=8, evaluations=39, probes=1),
    Kind("likelihood", 0.05, rows=4, evaluations=71, probes=2, spread=0.2),
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request of a kind that comes at a time, in seconds."""

    at: float
    kind: Kind
    number: int

    def job(self) -> Job:
        """The job that admission makes of it."""
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
    """Mean price of a request, in row-evaluations."""
    return sum(kind.share * kind.work for kind in kinds) / sum(kind.share for kind in kinds)


def poisson(
    kinds: Sequence[Kind], rate: float, seconds: float, seed: int, lead: float = 0.0
) -> Iterator[Arrival]:
    """Independent requests, `rate` a second on average, from `lead` on."""
    draws = np.random.default_rng(seed)
    shares = np.array([kind.share for kind in kinds])
    at, number = lead, 0
    while (at := at + draws.exponential(1 / rate)) < lead + seconds:
        yield Arrival(at, kinds[draws.choice(len(kinds), p=shares / shares.sum())], number)
        number += 1
