"""An adaptive ODE solve with one step size for a whole batch, as in the authors' evaluation.

The method is Dormand and Prince's pair of orders 5 and 4, with the step control of Hairer, Nørsett
& Wanner (Solving Ordinary Differential Equations I, section II.4) and the constants of SciPy's
`solve_ivp`, which the authors call. A test compares the steps with SciPy's.
"""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.schema.errors import EvaluationError
from models.solvers.dormand_prince import ERROR, NODES, ORDER, STAGES, WEIGHTS

State = NDArray[np.float64]
Slope = Callable[[float, State], State]

SAFETY, MIN_FACTOR, MAX_FACTOR = 0.9, 0.2, 10.0
# The order of the embedded solution, by which the error estimate shrinks with the step.
ESTIMATE = ORDER - 1
_NODES, _WEIGHTS, _ERROR = np.array(NODES), np.array(WEIGHTS), np.array(ERROR)


class Solved(NamedTuple):
    """The state `[n]` at the end, the times between accepted steps and the number of
    evaluations."""

    state: State
    times: State
    nfe: int


def solve(slope: Slope, start: float, end: float, state: State, tolerance: float) -> Solved:
    """Integrate dy/dt = `slope(t, y)` from `state` `[n]`, float64, with rtol = atol = `tolerance`.

    Raises EvaluationError where the step size falls below the spacing of floating-point numbers, as
    it does for slopes that are NaN.
    """
    direction, times = math.copysign(1.0, end - start), [start]
    slopes = np.empty((STAGES, len(state)))
    slopes[0] = slope(start, state)
    size = _first_size(slope, start, end, state, slopes[0], tolerance)
    nfe, t, refused = 2, start, False
    while t != end:
        if not size >= 10 * abs(np.nextafter(t, direction * np.inf) - t):
            raise EvaluationError(f"the ODE cannot be solved past t = {t:.6g}: its step vanishes")
        ahead = min(t + size, end) if direction > 0 else max(t - size, end)
        h = ahead - t
        reached = _stages(slope, slopes, t, h, state)
        nfe += STAGES - 1
        scale = tolerance + tolerance * np.maximum(np.abs(state), np.abs(reached))
        error = _norm((slopes.T @ _ERROR) * h / scale)
        factor = MAX_FACTOR if error == 0 else SAFETY * error ** (-1 / (ESTIMATE + 1))
        if error < 1:
            # The step after a refused one does not grow.
            size = abs(h) * min(1.0 if refused else MAX_FACTOR, factor)
            t, state, slopes[0], refused = ahead, reached, slopes[-1], False
            times.append(t)
        else:
            # Where the error is NaN, `max` keeps its first argument.
            size, refused = abs(h) * max(MIN_FACTOR, factor), True
    return Solved(state, np.array(times), nfe)


def follow(slope: Slope, state: State, times: State) -> Solved:
    """Integrate from `state` `[n]` by steps that end at the given `times`, without step control."""
    slopes = np.empty((STAGES - 1, len(state)))
    for start, end in itertools.pairwise(times):
        h = end - start
        slopes[0] = slope(start, state)
        for stage in range(1, STAGES - 1):
            inside = state + h * (_WEIGHTS[stage, :stage] @ slopes[:stage])
            slopes[stage] = slope(start + _NODES[stage] * h, inside)
        state = state + h * (_WEIGHTS[-1, :-1] @ slopes)
    return Solved(state, times, len(slopes) * (len(times) - 1))


def _stages(slope: Slope, slopes: State, t: float, h: float, state: State) -> State:
    """Fill in all stages after the first of a step of length `h`, and return the solution of order
    5.

    The last stage is evaluated at that solution.
    """
    inside = state
    for stage in range(1, STAGES):
        inside = state + (slopes[:stage].T @ _WEIGHTS[stage, :stage]) * h
        slopes[stage] = slope(t + _NODES[stage] * h, inside)
    return inside


def _first_size(
    slope: Slope, start: float, end: float, state: State, first: State, tolerance: float
) -> float:
    """Guess the first step's size from the slopes before and after a small Euler step; one
    evaluation."""
    scale = tolerance + tolerance * np.abs(state)
    length, speed = _norm(state / scale), _norm(first / scale)
    small = 1e-6 if min(length, speed) < 1e-5 else 0.01 * length / speed
    small = min(small, abs(end - start))
    step = math.copysign(small, end - start)
    change = _norm((slope(start + step, state + step * first) - first) / scale) / small
    if max(speed, change) <= 1e-15:
        guess = max(1e-6, small * 1e-3)
    else:
        guess = (0.01 / max(speed, change)) ** (1 / (ESTIMATE + 1))
    return min(100 * small, guess, abs(end - start))


def _norm(values: State) -> float:
    """Return the root of the mean square."""
    return float(np.linalg.norm(values) / len(values) ** 0.5)
