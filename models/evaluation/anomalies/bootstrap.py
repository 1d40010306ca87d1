"""Intervals of figures of pictures, which are drawn anew many times."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models.anomaly.power import auroc
from models.evaluation.anomalies.roc import LEVEL, RESAMPLES, Interval

Scores = NDArray[np.float64]
Places = NDArray[np.int64]


class Resamples:
    """Draws, with replacement, of as many good and as many defective pictures as there are.

    A picture is known by its place; the good ones come first.
    """

    def __init__(self, good: int, defective: int, seed: int) -> None:
        dice = np.random.Generator(np.random.PCG64(seed))
        self.good = good
        self.everything = np.arange(good + defective)
        self.drawn = [
            np.concatenate(
                [dice.integers(0, good, good), good + dice.integers(0, defective, defective)]
            )
            for _ in range(RESAMPLES)
        ]

    def interval(self, figure: Callable[[Places], float]) -> Interval:
        """Return a figure of all pictures, with the interval of what it is of the draws."""
        tail = (1 - LEVEL) / 2
        again = [figure(places) for places in self.drawn]
        low, high = np.quantile(again, [tail, 1 - tail]).tolist()
        return Interval(value=figure(self.everything), low=low, high=high)

    def auroc(self, scores: Scores) -> Interval:
        """Return the AUROC of pictures by their `scores` `[pictures]`."""
        good = self.good
        return self.interval(
            lambda places: auroc(scores[places[places < good]], scores[places[places >= good]])
        )
