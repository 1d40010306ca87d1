"""A total error that is asked of a likelihood. Torch-free."""

from typing import NamedTuple

# The ODE's share of the error that was asked for.
ODE_SHARE = 0.3
# The probes of each solve: more would cost less for one trace, fewer stop nearer to what was asked.
PROBES = 4


class Aim(NamedTuple):
    """The total standard error that is asked for, in nats, and the most network evaluations that
    an image may take."""

    nats: float
    evaluations: int


def tolerance(asked: float, nats: float) -> float:
    """Return the ODE's tolerance where a total error of `nats` is asked for, and a tolerance."""
    return min(asked, ODE_SHARE * nats)
