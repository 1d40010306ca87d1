"""How well a score tells abnormal images from normal ones, with bootstrap intervals."""

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
    """A figure and its 95 % percentile bootstrap interval, normal and abnormal images drawn again
    apart."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}, {self.high:.3f})"


class Separation(BaseModel):
    """Of a score that should be higher for abnormal images, which count as the positives.

    `auroc`: the chance that an abnormal image scores above a normal one, ties by half. `aupr`: the
    mean precision over the abnormal ones. `fpr95`: the share of normal images flagged where 95 % of
    the abnormal ones are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    auroc: Interval
    aupr: Interval
    fpr95: Interval


class Measures(NamedTuple):
    """The same, without intervals."""

    auroc: float
    aupr: float
    fpr95: float


class Curve(NamedTuple):
    """The share of normal and of abnormal images flagged, from none to all, each `[points]`."""

    false_alarms: Scores
    found: Scores


def separation(
    normal: Scores, abnormal: Scores, seed: int = 0, resamples: int = RESAMPLES
) -> Separation:
    """Of scores `[n]` of normal and `[m]` of abnormal images; infinite ones may be among them."""
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
    """Of scores `[n]` of normal and `[m]` of abnormal images."""
    false_alarms, found = curve(normal, abnormal)
    gained, hits = np.diff(found), found[1:] * len(abnormal)
    precision = hits / (hits + false_alarms[1:] * len(normal))
    return Measures(
        auroc=float(np.trapezoid(found, false_alarms)),
        aupr=float((gained * precision).sum()),
        fpr95=float(false_alarms[np.searchsorted(found, RECALL - ROUNDING)]),
    )


def curve(normal: Scores, abnormal: Scores) -> Curve:
    """The ROC curve: one point a distinct score, and the corner where nothing is flagged."""
    levels = np.unique(np.concatenate([normal, abnormal]))[::-1]
    flagged = [
        len(scores) - np.searchsorted(np.sort(scores), levels, side="left")
        for scores in (normal, abnormal)
    ]
    shares = [np.concatenate([[0.0], count / count[-1]]) for count in flagged]
    return Curve(*shares)
