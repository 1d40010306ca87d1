"""How well a score tells abnormal images from normal ones, with bootstrap intervals."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Scores = NDArray[np.float64]
RESAMPLES = 500
LEVEL = 0.95
RECALL = 0.95


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


class Curve(NamedTuple):
    """The share of normal and of abnormal images flagged, from none to all, each `[points]`."""

    false_alarms: Scores
    found: Scores


def separation(
    normal: Scores, abnormal: Scores, seed: int = 0, resamples: int = RESAMPLES
) -> Separation:
    """Of scores `[n]` of normal and `[m]` of abnormal images; infinite ones may be among them."""
    dice = np.random.Generator(np.random.PCG64(seed))
    measures: dict[str, Callable[[Scores, Scores], float]] = {
        "auroc": auroc,
        "aupr": aupr,
        "fpr95": fpr95,
    }
    again = [
        tuple(scores[dice.integers(0, len(scores), len(scores))] for scores in (normal, abnormal))
        for _ in range(resamples)
    ]
    tail = (1 - LEVEL) / 2

    def interval(measure: Callable[[Scores, Scores], float]) -> Interval:
        drawn = [measure(*pair) for pair in again]
        low, high = np.quantile(drawn, [tail, 1 - tail])
        return Interval(value=measure(normal, abnormal), low=float(low), high=float(high))

    return Separation(**{name: interval(measure) for name, measure in measures.items()})


def curve(normal: Scores, abnormal: Scores) -> Curve:
    """The ROC curve: one point a distinct score, and the corner where nothing is flagged."""
    levels = np.unique(np.concatenate([normal, abnormal]))[::-1]
    flagged = [
        len(scores) - np.searchsorted(np.sort(scores), levels, side="left")
        for scores in (normal, abnormal)
    ]
    shares = [np.concatenate([[0.0], count / count[-1]]) for count in flagged]
    return Curve(*shares)


def auroc(normal: Scores, abnormal: Scores) -> float:
    """Area under the ROC curve."""
    ordered = np.sort(normal)
    below = np.searchsorted(ordered, abnormal, side="left")
    not_above = np.searchsorted(ordered, abnormal, side="right")
    return float((below + not_above).mean() / (2 * len(normal)))


def aupr(normal: Scores, abnormal: Scores) -> float:
    """Average precision: over the distinct scores, recall gained times precision there."""
    false_alarms, found = curve(normal, abnormal)
    hits, misses = found * len(abnormal), false_alarms * len(normal)
    precision = hits[1:] / (hits[1:] + misses[1:])
    return float((np.diff(found) * precision).sum())


def fpr95(normal: Scores, abnormal: Scores) -> float:
    """False alarms at the first threshold that finds 95 % of the abnormal images."""
    false_alarms, found = curve(normal, abnormal)
    return float(false_alarms[np.searchsorted(found, RECALL - 1e-12)])
