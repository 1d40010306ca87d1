"""Limits: the law or the density that a solver comes to with ever finer steps. Torch-free.

Every spec declares its limit, and the laws of the tests hold its solver to it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Steps:
    """The result of many steps is exact: the error falls as their number to the power -`order`.

    For a sampler the error is that of the law of its images, started from the exact law at t = 1.
    For a likelihood it is that of the log-density. Where `exact_on_a_point`, a sampler makes no
    error at all, with however few steps, on data that is a single image.
    """

    order: float
    exact_on_a_point: bool = False


@dataclass(frozen=True)
class Chain:
    """A Markov chain in each segment has that segment's reverse transition kernel as its law.

    With ever smaller steps and as long a chain, all proposals accepted, the error falls as the step
        size to the power `order`.

    With next to no chain and ever more segments, the error of the draws that start the chains falls
    as the number of segments to the power -`start`; on data that is a single image they make none.
    `start` is None where the start alone does not come to the law.

    A chain that accepts or refuses its proposals is in detailed balance with the kernel, but for an
    error of the log-ratio that falls as the length of a proposal to the power `balance`; None for a
    chain that accepts every proposal.
    """

    order: float
    start: float | None
    balance: float | None = None


Limit = Steps | Chain
