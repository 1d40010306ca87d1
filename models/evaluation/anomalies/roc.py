"""ROC figures of a score that separates abnormal images from normal ones, with bootstrap
intervals."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Scores = NDArray[np.float64]
RESAMPLES = 500
LEVEL = 0.95
RECALL = 0.95
ROUNDING = 1e-12


class Interval(BaseModel):
    """A figure and its 95 % percentile bootstrap interval.

    Normal and abnormal images are resampled separately.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}, {self.high:.3f})"


class Separation(BaseModel):
    """The ROC figures of a score that should be higher for abnormal images, which are the
    positives.

    `auroc` is the chance that an abnormal image scores above a normal one, ties counting half.
    `aupr` is the mean precision over the abnormal images. `fpr95` is the share of normal images
    flagged at the threshold that flags 95 % of the abnormal ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    auroc: Interval
    aupr: Interval
    fpr95: Interval


class Measures(NamedTuple):
    """The figures of a Separation without their intervals."""

    auroc: float
    aupr: float
    fpr95: float


class Curve(NamedTuple):
    """The shares of normal and of abnormal images flagged, from none to all, each `[points]`."""

    false_alarms: Scores
    found: Scores


def separation(
    normal: Scores, abnormal: Scores, seed: int = 0, resamples: int = RESAMPLES
) -> Separation:
    """Measure scores `[n]` of normal and `[m]` of abnormal images, which may be infinite."""
    dice = np.random.Generator(np.random.PCG64(seed))
    pair = normal, abnormal
    again = np.array(
        [
            measures(*(scores[dice.integers(0, len(scores), len(scores))] for scores in pair))
            for _ in range(resamples)
        ]
    )
    tail = (1 - LEVEL) / 2
    ends = np.quantile(again, [tail, 1 - tail], axis=0).tolist()
    intervals = (
        Interval(value=value, low=low, high=high)
        for value, low, high in zip(measures(*pair), *ends, strict=True)
    )
    return Separation(**dict(zip(Measures._fields, intervals, strict=True)))


def measures(normal: Scores, abnormal: Scores) -> Measures:
    """Return the figures for scores `[n]` of normal and `[m]` of abnormal images."""
    false_alarms, found = curve(normal, abnormal)
    gained, hits = np.diff(found), found[1:] * len(abnormal)
    precision = hits / (hits + false_alarms[1:] * len(normal))
    return Measures(
        auroc=float(np.trapezoid(found, false_alarms)),
        aupr=float((gained * precision).sum()),
        fpr95=float(false_alarms[np.searchsorted(found, RECALL - ROUNDING)]),
    )


def curve(normal: Scores, abnormal: Scores) -> Curve:
    """Return the ROC curve: a point for each distinct score, and one where nothing is flagged."""
    levels = np.unique(np.concatenate([normal, abnormal]))[::-1]
    flagged = [
        len(scores) - np.searchsorted(np.sort(scores), levels, side="left")
        for scores in (normal, abnormal)
    ]
    shares = [np.concatenate([[0.0], count / count[-1]]) for count in flagged]
    return Curve(*shares)
