"""Traffic: which requests come, and when they are meant to be sent.

The work of a request is its price in row-evaluations, and a load is the work that comes in a
second over what a bare loop of the network does in one. Arrivals are drawn from a seed, so that
every server has the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from models.schema.specs import Adams, sampler_spec
from service.price import price

Body = dict[str, Any]
Arrivals = Literal["poisson", "bursts", "at once"]
# Seeds of requests are the round's, and from there on the number of the request.
SEEDS_A_ROUND = 100_000


@dataclass(frozen=True)
class Kind:
    """Requests of one kind: `share` is the part of all work that they make.

    Those with a `solver` draw `images` images, the others score as many.
    """

    name: str
    share: float = 1.0
    images: int = 1
    solver: dict[str, Any] = field(default_factory=dict)
    probes: int = 2
    tolerance_nats: float = 0.5

    @property
    def samples(self) -> bool:
        """Whether it draws images."""
        return bool(self.solver)

    @property
    def path(self) -> str:
        """Return the last part of its path in our API."""
        return "samples" if self.samples else "likelihoods"

    @property
    def evaluations(self) -> int:
        """Return the evaluations of a row; those of a likelihood are expected."""
        if self.samples:
            return sampler_spec(**self.solver).evaluations
        return Adams(probes=self.probes, tolerance_nats=self.tolerance_nats).expected_evaluations

    @property
    def work(self) -> int:
        """Return the price of a request in row-evaluations."""
        return price(self.images, self.evaluations, 0 if self.samples else self.probes)

    def body(self, model: str, seed: int, scored: Sequence[str]) -> Body:
        """Return the request as JSON, which is the same for every server; `scored` has PNGs in
        base64."""
        if self.samples:
            own: Body = {"count": self.images, "solver": self.solver}
        else:
            pngs = [scored[(seed + image) % len(scored)] for image in range(self.images)]
            own = {"images": pngs, "probes": self.probes, "tolerance_nats": self.tolerance_nats}
        return {"model": model, "seed": seed, "timeout_s": 600, **own}


@dataclass(frozen=True)
class Scenario:
    """Requests of several kinds at one or more loads.

    Jobs of `long` begin before all others and do not count in their load. Bursts are of `burst`
    requests.
    """

    name: str
    title: str
    kinds: tuple[Kind, ...]
    loads: tuple[float, ...] = (0.4, 0.8, 1.2)
    arrivals: Arrivals = "poisson"
    long: tuple[Kind, ...] = ()
    burst: int = 32


@dataclass(frozen=True)
class Arrival:
    """A request and when it is meant to be sent, in seconds from the beginning.

    Long ones, likelihoods among them, are what the short ones run beside.
    """

    at: float
    kind: Kind
    seed: int
    long: bool = False


# Seconds by which long jobs come before the requests beside them.
LEAD_S = 1.0


def arrivals(
    scenario: Scenario, load: float, rate: float, requests: int, number: int
) -> list[Arrival]:
    """Return the requests of round `number` in the order of their times: `requests` short ones
    and the scenario's long ones, for a bare loop that makes `rate` row-evaluations a second."""
    draws = np.random.default_rng([number, *scenario.name.encode()])
    frequencies = np.array([kind.share / kind.work for kind in scenario.kinds])
    mean_work = sum(kind.share for kind in scenario.kinds) / frequencies.sum()
    gap = mean_work / (load * rate)
    lead = LEAD_S if scenario.long else 0.0
    times = lead + _times(scenario, requests, gap, draws)
    chosen = draws.choice(len(scenario.kinds), requests, p=frequencies / frequencies.sum())
    first = SEEDS_A_ROUND * number
    short = [
        Arrival(float(at), kind, first + place, long=not kind.samples)
        for place, (at, kind) in enumerate(
            zip(times, (scenario.kinds[which] for which in chosen), strict=True)
        )
    ]
    long = [
        Arrival(0.0, kind, first + requests + place, long=True)
        for place, kind in enumerate(scenario.long)
    ]
    return long + short


def _times(scenario: Scenario, requests: int, gap: float, draws: np.random.Generator) -> np.ndarray:
    if scenario.arrivals == "at once":
        return np.zeros(requests)
    if scenario.arrivals == "bursts":
        return np.arange(requests) // scenario.burst * (scenario.burst * gap)
    return np.cumsum(draws.exponential(gap, requests))
