"""Conformal p-values, valid whatever the scores are (Vovk, Gammerman & Shafer, 2005)."""

import math
from decimal import ROUND_CEILING, Context

import numpy as np
from numpy.typing import NDArray

# The score of an image that could not be solved, above that of every image that could.
FAILED = math.inf


def p_value(score: float, calibration: NDArray[np.float64]) -> float:
    """Return (1 + number of calibration scores >= `score`) / (m + 1).

    `calibration` `[m]` is ascending. Of images exchangeable with the calibration images, at most
    the share alpha has a p-value <= alpha.
    """
    below = int(np.searchsorted(calibration, score, side="left"))
    return (1 + len(calibration) - below) / (len(calibration) + 1)


def p_values(scores: NDArray[np.float64], calibration: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the p-value of each of `scores` `[n]`, as `p_value` does."""
    below = np.searchsorted(calibration, scores, side="left")
    found: NDArray[np.float64] = (1 + len(calibration) - below) / (len(calibration) + 1)
    return found


def smallest_alpha(count: int) -> float:
    """Return 1 / (m + 1), the smallest possible p-value for `count` calibration scores."""
    return 1 / (count + 1)


def at_least(alpha: float) -> str:
    """Return `alpha` to four digits, rounded up."""
    shown = Context(prec=4, rounding=ROUND_CEILING).create_decimal_from_float(alpha)
    return f"{float(shown):.4g}"
