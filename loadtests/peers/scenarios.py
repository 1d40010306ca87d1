"""The scenarios of the comparison, and how much of each a quick and a full run plays."""

from dataclasses import replace
from typing import NamedTuple

from loadtests.peers.traffic import Kind, Scenario

# The default preset of the shipped checkpoints, in full.
DEFAULT = {"name": "dpm-2m-sde", "steps": 20, "grid": "gamma", "power": 0.35}
ONE = Kind("one", solver=DEFAULT)

EQUAL = Scenario("equal", "one image, 20 evaluations", (ONE,))
BURSTS = Scenario("bursts", "the same in bursts of 32", (ONE,), (0.8,), "bursts")
STEPS = Scenario(
    "steps",
    "one image, 10 to 100 steps",
    tuple(
        Kind(f"ddpm-{steps}", 0.25, solver={"name": "ddpm", "steps": steps})
        for steps in (10, 20, 50, 100)
    ),
)
SOLVERS = Scenario(
    "solvers",
    "one image, five solvers",
    (
        Kind("ddpm", 0.2, solver={"name": "ddpm", "steps": 20}),
        Kind("dpm-2m", 0.2, solver={"name": "dpm-2m", "steps": 10}),
        Kind("dpm-2m-sde", 0.2, solver=DEFAULT),
        Kind("rtk-ula", 0.2, solver={"name": "rtk-ula", "segments": 5, "inner_steps": 4}),
        Kind("rtk-mala", 0.2, solver={"name": "rtk-mala", "segments": 4, "inner_steps": 5}),
    ),
)
SCORING = Scenario(
    "scoring",
    "one image beside likelihoods",
    (Kind("one", 0.5, solver=DEFAULT), Kind("likelihood", 0.5)),
    (0.6,),
)
SATURATED = Scenario(
    "saturated", "one image, all requests at once", (ONE,), (1.0,), arrivals="at once"
)
# One step, so that what is left is HTTP, the queue, the beginning and the end of a job.
FREE = Scenario(
    "free",
    "one image, one step of a network that costs nothing, all requests at once",
    (Kind("one", solver={"name": "ddpm", "steps": 1}),),
    (1.0,),
    arrivals="at once",
)


def beside_long(jobs: int, images: int, steps: int) -> Scenario:
    """Return one-image requests beside `jobs` jobs of `images` images and many DDPM steps."""
    long = Kind(f"{images} x {steps}", images=images, solver={"name": "ddpm", "steps": steps})
    title = f"one image beside {jobs} x {images} images of {steps} steps"
    return Scenario("long", title, (ONE,), (0.3,), long=(long,) * jobs)


class Plan(NamedTuple):
    """The size of a run.

    The short requests of a cell come within `span_s` seconds, beside long jobs `long_span_s`; there
    are at least `fewest` of them. The cell is given up `patience_s` or `long_patience_s` after the
    last of them. `saturating` is the number of requests that come at once. Slow servers play the
    least load of the scenarios `slow`.
    """

    scenarios: tuple[Scenario, ...]
    slow: tuple[Scenario, ...]
    rounds: int
    span_s: float
    fewest: int
    patience_s: float
    long_span_s: float
    long_patience_s: float
    saturating: int

    def patience(self, scenario: Scenario) -> float:
        """Return the seconds after the last request until a cell is given up."""
        return self.long_patience_s if scenario.long else self.patience_s

    def requests(self, scenario: Scenario, load: float, rate: float) -> int:
        """Return the number of short requests of a cell, for a bare loop of `rate`
        row-evaluations a second."""
        if scenario.arrivals == "at once":
            return self.saturating
        span = self.long_span_s if scenario.long else self.span_s
        a_second = load * rate * sum(kind.share / kind.work for kind in scenario.kinds)
        number = max(self.fewest, round(span * a_second))
        return (
            -(-number // scenario.burst) * scenario.burst
            if scenario.arrivals == "bursts"
            else number
        )


_LONG, _SHORTER = beside_long(2, 8, 1000), beside_long(1, 8, 150)
FULL = Plan(
    scenarios=(EQUAL, BURSTS, STEPS, SOLVERS, SCORING, SATURATED, _LONG, FREE),
    slow=(EQUAL, STEPS, SOLVERS, SCORING, _LONG, FREE),
    rounds=3,
    span_s=3.5,
    fewest=50,
    patience_s=20.0,
    long_span_s=14.0,
    long_patience_s=45.0,
    saturating=256,
)
QUICK = Plan(
    scenarios=(
        *(EQUAL, BURSTS, replace(STEPS, loads=(0.8,)), replace(SOLVERS, loads=(0.8,))),
        *(SCORING, SATURATED, _SHORTER, FREE),
    ),
    slow=(EQUAL, FREE),
    rounds=1,
    span_s=1.0,
    fewest=12,
    patience_s=15.0,
    long_span_s=2.0,
    long_patience_s=15.0,
    saturating=64,
)
