"""The selection of images together, with a bound on the share of false discoveries."""

from collections.abc import Sequence

import numpy as np

# P-values are fractions of m + 1: a bound that is met exactly must not be missed by rounding.
_SLACK = 1 + 1e-12


def benjamini_hochberg(p_values: Sequence[float], fdr: float) -> list[bool]:
    """Return whether each image is selected, by its p-value among those of all `p_values`.

    The images with the i smallest p-values are selected, for the largest i at which the i-th
    smallest is at most `fdr` i / n (Benjamini & Hochberg, 1995). The expected share of good images
    among the selected is then at most `fdr`. Conformal p-values by one calibration set depend on
    each other, in a way under which this holds (Bates, Candès, Lei, Romano & Sesia, Annals of
    Statistics 2023).
    """
    found = np.array(p_values, np.float64)
    ascending = np.sort(found)
    places = np.arange(1, len(found) + 1)
    within = ascending[len(found) * ascending <= fdr * places * _SLACK]
    if not len(within):
        return [False] * len(found)
    selected: list[bool] = (found <= within[-1]).tolist()
    return selected
