"""The rank of each score among all that came before it. NumPy alone."""

import hashlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np


class GrowingRanks:
    """P-values of scores, each ranked among the calibration's and all earlier ones.

    p = (number of earlier scores above + U (1 + number of equal ones)) / (1 + number of earlier
    scores). U is uniform on [0, 1): the n-th number of the generator Philox that the SHA-256 of
    `key` starts. As long as all scores are exchangeable, the p-values are independent and uniform
    on [0, 1], however few calibration scores there are (Vovk, Nouretdinov & Gammerman, ICML 2003).
    P-values of ranks among the calibration scores alone are neither: all depend on these scores.
    """

    def __init__(self, calibration: Sequence[float], key: str) -> None:
        self._scores = array("d", sorted(calibration))
        first = hashlib.sha256(key.encode()).digest()[:16]
        self._chance = np.random.Generator(np.random.Philox(key=int.from_bytes(first, "big")))

    def p_value(self, score: float) -> float:
        """Return the p-value of the next score, and remember the score. It may be infinite."""
        scores, uniform = self._scores, self._chance.random()
        left, right = bisect_left(scores, score), bisect_right(scores, score)
        above, count = len(scores) - right, len(scores) + 1
        scores.insert(right, score)
        return (above + uniform * (1 + right - left)) / count
