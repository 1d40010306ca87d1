"""The chance that a job comes during a tick, learned from the ticks themselves."""

import math

# Each tick weighs this much less than the one after it.
DECAY = 0.95


class Arrivals:
    """The mean number of jobs that come during a tick, and the chance that any does.

    Jobs of many clients come as a Poisson process.
    """

    def __init__(self) -> None:
        self._came, self._mean = 0, 0.0

    def count(self) -> None:
        """Take in that a job has come."""
        self._came += 1

    def tick(self) -> None:
        """Take in that a tick has passed."""
        self._mean = DECAY * self._mean + (1 - DECAY) * self._came
        self._came = 0

    @property
    def chance(self) -> float:
        """The chance that at least one job comes during the next tick."""
        return -math.expm1(-self._mean)
