"""A bet against p-values that are uniform. NumPy alone."""

import math

import numpy as np

# Stakes on p-values below 1/2, on none and on those above.
_BETS = np.array([-1.0, 0.0, 1.0])
# Without drift the capital loses the factor 1 - 2/3 of this with each p-value.
_JUMP = 1e-4


class SimpleJumper:
    """The martingale Simple Jumper (Vovk et al., COPA 2021), as logarithms to base 10.

    Its capital is 1 at first. Each of three parts of it is multiplied by 1 + e (p - 1/2) with each
    p-value, for e of -1, 0 and 1, after the share J = 1e-4 of all was spread evenly over the parts.
    As long as p-values are independent and uniform on [0, 1], the probability that the capital is
    ever 1/d or more is at most d (Ville's inequality). It grows where the p-values are too small,
    or too large, on average: below 0.455 or above 0.545.
    """

    def __init__(self) -> None:
        self.log10 = self.log10_max = 0.0
        self._shares = np.full(len(_BETS), 1 / len(_BETS))

    def bet(self, p_value: float) -> None:
        """Let the capital change by one p-value."""
        spread = (1 - _JUMP) * self._shares + _JUMP / len(_BETS)
        changed = spread * (1 + _BETS * (p_value - 0.5))
        factor = float(changed.sum())
        self._shares = changed / factor
        self.log10 += math.log10(factor)
        self.log10_max = max(self.log10_max, self.log10)
