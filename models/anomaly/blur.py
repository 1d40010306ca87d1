"""Gaussian smoothing of maps as two products of matrices. It needs NumPy alone."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Maps = NDArray[np.float64]


def blur(maps: Maps, deviation: float) -> Maps:
    """Return `maps` `[..., H, W]` smoothed by a Gaussian of this standard deviation, in pixels.

    Near an edge the weights of the pixels that exist are scaled up to a sum of 1.
    """
    if deviation == 0:
        return maps
    down, across = (_weights(length, deviation) for length in maps.shape[-2:])
    smooth: Maps = down @ maps @ across.T
    return smooth


@cache
def _weights(length: int, deviation: float) -> Maps:
    places = np.arange(length)
    weights = np.exp(-0.5 * np.square((places[:, None] - places) / deviation))
    normalised: Maps = weights / weights.sum(axis=1, keepdims=True)
    return normalised
