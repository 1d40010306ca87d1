"""Scores into p-values that hold whatever the scores are (Vovk, Gammerman & Shafer, 2005)."""

import math
from decimal import ROUND_CEILING, Context

import numpy as np
from numpy.typing import NDArray

# What an image scores that could not be solved: more than any that could, in calibration and after.
FAILED = math.inf


def p_value(score: float, calibration: NDArray[np.float64]) -> float:
    """(1 + number of calibration scores >= `score`) / (m + 1); `calibration` `[m]` ascending.

    Of images exchangeable with the calibration's, at most the share alpha has a p-value <= alpha.
    """
    below = int(np.searchsorted(calibration, score, side="left"))
    return (1 + len(calibration) - below) / (len(calibration) + 1)


def smallest_alpha(count: int) -> float:
    """1 / (m + 1): below it no p-value of `count` calibration scores can lie."""
    return 1 / (count + 1)


def at_least(alpha: float) -> str:
    """`alpha` to four digits, and not below it."""
    shown = Context(prec=4, rounding=ROUND_CEILING).create_decimal_from_float(alpha)
    return f"{float(shown):.4g}"
