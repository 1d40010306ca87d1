"""The price of network calls by their size, learned from the calls themselves.

The price has all that a call takes: the questions of its rows, the network, and what its answers
change.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from service.price import price

# Each call weighs this much less than the one after it, so that the price follows the machine.
DECAY = 0.99
# Before so many calls the price is not known.
ENOUGH = 20
# A call that took this many times what was expected was disturbed by another program.
DISTURBED = 3.0
# The rows of an efficient call cost this share of it; what is left costs the same for any number.
EFFICIENCY = 0.85
LEAST = 8


class CallPrice:
    """A straight line through (row-evaluations of a call, seconds), by least squares with decaying
    weights: a call costs a fixed part, and another for each row-evaluation."""

    def __init__(self) -> None:
        self._calls = 0
        self._weight = self._x = self._y = self._xx = self._xy = 0.0

    def record(self, work: int, seconds: float) -> None:
        """Take in a call of so many row-evaluations."""
        line = self._line()
        if line is not None:
            fixed, each = line
            seconds = min(seconds, DISTURBED * (fixed + each * work))
        self._calls += 1
        new = (1.0, work, seconds, work * work, work * seconds)
        old = (self._weight, self._x, self._y, self._xx, self._xy)
        self._weight, self._x, self._y, self._xx, self._xy = (
            DECAY * before + one for before, one in zip(old, new, strict=True)
        )

    @property
    def efficient(self) -> int | None:
        """The row-evaluations from which a call is efficient; None while that is not known."""
        line = self._line()
        if line is None:
            return None
        fixed, each = line
        return max(LEAST, math.ceil(fixed / each * EFFICIENCY / (1 - EFFICIENCY)))

    def _line(self) -> tuple[float, float] | None:
        """The fixed part and that of each row-evaluation, in seconds, where both make sense."""
        if self._calls < ENOUGH:
            return None
        spread = self._weight * self._xx - self._x**2
        # Calls of nearly one size tell nothing of others.
        if spread < 0.01 * self._x**2:
            return None
        each = (self._weight * self._xy - self._x * self._y) / spread
        fixed = (self._y - each * self._x) / self._weight
        return (max(0.0, fixed), each) if each > 0 else None


class CallSizes(NamedTuple):
    """The sizes that calls of a tick had better have, in row-evaluations: a call costs as much as
    the next multiple of `quantum`, and from `efficient` on not much more for each than it must;
    None while that is not known."""

    quantum: int = 1
    efficient: int | None = None


class CallPrices:
    """The prices of all calls of an engine, which differ by checkpoint and number of probes."""

    def __init__(self) -> None:
        self._prices: dict[tuple[str, int], CallPrice] = defaultdict(CallPrice)

    def record(self, checkpoint: str, probes: int, quantum: int, rows: int, seconds: float) -> None:
        """Take in a call of so many rows, whose runtime pads them to a multiple of `quantum`."""
        padded = -(-rows // quantum) * quantum
        self._prices[checkpoint, probes].record(price(padded, probes=probes), seconds)

    def forget(self, checkpoint: str) -> None:
        """Drop the prices of a checkpoint that is served no more."""
        self._prices = defaultdict(
            CallPrice, {key: price for key, price in self._prices.items() if key[0] != checkpoint}
        )

    def sizes(self, quanta: Mapping[tuple[str, int], int]) -> CallSizes:
        """Return the sizes for a tick of these calls, each with the quantum of its runtime."""
        known = [self._prices[call].efficient for call in quanta]
        efficient = None if None in known else sum(size for size in known if size)
        if len(quanta) != 1:
            # How a tick will divide between several calls is not known before it is planned.
            return CallSizes(1, efficient or None)
        (((_, probes), rows),) = quanta.items()
        return CallSizes(price(rows, probes=probes), efficient)
