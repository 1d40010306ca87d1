"""The plan of draws and solves of an image that reach a total error that was asked for.

A solve with other probes errs independently of the others on the same draw, so that n of them leave
1/n of the trace's variance; and n draws leave about 1/n of the draws' variance. The ODE's error is
kept small by the tolerance of each solve.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models.schema.aims import Aim

# Solves at a time are at most this many times those before, whose errors are estimates.
GROWTH = 4
# A draw that is yet to be solved may take this many times the evaluations of those before.
ALLOWANCE = 1.25
# The quantile of the normal distribution that an interval of 95 % reaches to, and that of Student's
# t over degrees of freedom.
NORMAL = 1.96
FREEDOM = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 60, math.inf)
STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.31, 2.23, 2.13, 2.09, 2.04, 2.00, NORMAL)


class Grid(NamedTuple):
    """Each of `draws` solved `solves` times."""

    draws: int
    solves: int

    @property
    def size(self) -> int:
        """The number of solves in all."""
        return self.draws * self.solves


class Variances(NamedTuple):
    """The squared errors of a score, in squared nats, by their cause."""

    trace: float
    draws: float
    ode: float

    @property
    def total(self) -> float:
        """The total standard error, in nats."""
        return math.sqrt(sum(self))


def widened(error: float, freedom: float) -> float:
    """Return the normal standard error whose interval of 95 % is as wide as that of an estimated
    `error` with so many degrees of freedom."""
    inverse = [1 / one for one in reversed(FREEDOM)]
    return error * float(np.interp(1 / freedom, inverse, STUDENT[::-1])) / NORMAL


def variances(
    trace: tuple[float, float] | None, draw: float | None, draws: int, ode: float
) -> Variances:
    """Return the squared errors by the trace's error with its degrees of freedom, the draws' and
    the ODE's; an error that is None counts as none. Errors are widened by their degrees of
    freedom."""
    return Variances(
        0.0 if trace is None else widened(*trace) ** 2,
        0.0 if draw is None else widened(draw, draws - 1) ** 2,
        ode**2,
    )


def further(found: Variances, done: Grid, nfe: Sequence[int], aim: Aim) -> Grid | None:
    """Return the draws and solves that will probably reach the aim after those `done`, whose rows
    took `nfe` evaluations; None where it is reached, or where no more are affordable.

    Of the grids that reach it, the one with the fewest solves is T/solves = D/draws, T and D being
    the variances of one solve and one draw.
    """
    left = aim.nats**2 - found.ode
    if found.total <= aim.nats or left <= 0:
        return None
    one = Variances(found.trace * done.solves, found.draws * done.draws, found.ode)
    draws = max(done.draws, _least(2 * one.draws, left))
    solves = max(done.solves, _least(one.trace, left - one.draws / draws))
    draws = max(done.draws, _least(one.draws, left - one.trace / solves))
    return _affordable(one, done, Grid(draws, solves), nfe, aim)


def _least(variance: float, allowed: float) -> int:
    """Return the least number by which to divide a variance so that it is `allowed`."""
    return math.ceil(variance / allowed) if variance > 0 else 1


def _affordable(
    one: Variances, done: Grid, wanted: Grid, nfe: Sequence[int], aim: Aim
) -> Grid | None:
    """Return the grid nearest to the one `wanted` that the evaluations allow, and whose size has
    not grown too much; None where that is the one `done`."""
    left, mean = aim.evaluations - sum(nfe), sum(nfe) / len(nfe)
    grid = wanted
    while grid != done:
        old = (grid.solves - done.solves) * done.draws
        new = (grid.draws - done.draws) * grid.solves
        affordable = mean * (old + ALLOWANCE * new) <= left
        if affordable and grid.size <= GROWTH * done.size:
            return grid
        # Less of what helps least, as far as there is any of it.
        fewer_solves = one.trace / grid.solves < one.draws / grid.draws
        if grid.draws == done.draws or (fewer_solves and grid.solves > done.solves):
            grid = grid._replace(solves=grid.solves - 1)
        else:
            grid = grid._replace(draws=grid.draws - 1)
    return None
