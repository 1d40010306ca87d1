"""An aggregate that is learned from defective pictures, to show what is to be had from one."""

import numpy as np
from numpy.typing import NDArray

from models.anomaly.pictures import AGGREGATES
from models.anomaly.teaching import weigh
from models.evaluation.anomalies.bootstrap import Scores
from models.preprocessing.tiles import Tiling

FOLDS = 5


def learned(scores: Scores, tiling: Tiling, good: int, seed: int) -> Scores:
    """Return scores of pictures from those of their tiles `[N]`, of which the first `good` pictures
    are good.

    Logistic regression weighs the other aggregates, the spread of the tiles and their number. The
    pictures of each of five parts are scored by weights that the other parts taught.
    """
    rows = np.array([_summary(scores[part]) for part in tiling.slices()])
    dice = np.random.Generator(np.random.PCG64(seed))
    folds = np.concatenate([dice.permutation(count) % FOLDS for count in (good, len(rows) - good)])
    strange = np.arange(len(rows)) >= good
    found = np.empty(len(rows))
    for fold in range(FOLDS):
        own, others = folds == fold, folds != fold
        mean = rows[others].mean(0)
        scale = np.maximum(rows[others].std(0), 1e-9)
        table = (rows - mean) / scale
        found[own] = table[own] @ weigh(table[others & strange], table[others & ~strange])
    return found


def _summary(scores: Scores) -> NDArray[np.float64]:
    """Return what a picture's tiles tell, higher for strange pictures. Tiles that failed are taken
    for no stranger than the others."""
    solved = scores[np.isfinite(scores)]
    if not len(solved):
        solved = np.zeros(1)
    ways = [aggregate(solved) for aggregate in AGGREGATES.values()]
    return np.array([*ways, solved.std(), -np.log(len(scores))])
