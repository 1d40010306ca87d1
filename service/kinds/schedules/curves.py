"""Gamma of learned schedules over time, from their coefficients. Torch-free."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
BAND = (0.05, 0.5, 0.95)
# Values of gamma that are held at a time.
HELD = 2**18


class Curves(NamedTuple):
    """Gamma of one schedule at several times: its mean and quantiles over pixels and channels,
    `[times]`."""

    mean: Numbers
    lower: Numbers
    median: Numbers
    upper: Numbers


def gamma(coefficients: NDArray[np.float32], times: Numbers, gamma_min: float) -> Numbers:
    """Return gamma `[times, H, W, C]` of one schedule with `coefficients` a, b, c `[3, H, W, C]`.

    It is gamma_min + the integral of (a u^2 + b u + c)^2 over u in [0, t] (MuLAN, eq. 11), as the
    network's own `Schedule` has it.
    """
    a, b, c = coefficients.astype(np.float64)
    powers = c * c, b * c, (b * b + 2 * a * c) / 3, a * b / 2, a * a / 5
    t = times[:, None, None, None]
    rise = np.zeros((len(times), *a.shape))
    for power in reversed(powers):
        rise = (rise + power) * t
    return gamma_min + rise


def curves(coefficients: NDArray[np.float32], times: Numbers, gamma_min: float) -> Curves:
    """Return the curves of one schedule."""
    pieces = -(-len(times) * coefficients[0].size // HELD)
    found = []
    for some in np.array_split(times, min(pieces, len(times))):
        values = gamma(coefficients, some, gamma_min).reshape(len(some), -1)
        found.append([values.mean(axis=1), *np.quantile(values, BAND, axis=1)])
    return Curves(*np.concatenate(found, axis=1))
