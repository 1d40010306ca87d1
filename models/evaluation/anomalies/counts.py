"""A calibration in counts of pictures: how many good ones would be stopped, how many bad ones
missed."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models.anomaly.conformal import at_least, p_value, smallest_alpha

ALPHAS = (0.01, 0.02, 0.05, 0.1, 0.2)


class Row(NamedTuple):
    """Counts at one alpha: calibration pictures that would be stopped if each were judged by the
    others, other good pictures stopped, and defects missed; None where there are none."""

    alpha: float
    good_stopped: int
    held_out_stopped: int | None
    defects_missed: int | None


def count(good: Sequence[float], held_out: Sequence[float], defects: Sequence[float]) -> list[Row]:
    """Return the counts at usual alphas that are possible, from scores of pictures."""
    reference = np.sort(np.array(good, np.float64))
    least = smallest_alpha(len(good))
    alphas = [least, *(alpha for alpha in ALPHAS if alpha > least)]
    own = [_p_among_others(score, reference) for score in good]
    others = [p_value(score, reference) for score in held_out]
    bad = [p_value(score, reference) for score in defects]
    return [
        Row(
            alpha,
            sum(p <= alpha for p in own),
            sum(p <= alpha for p in others) if others else None,
            sum(p > alpha for p in bad) if bad else None,
        )
        for alpha in alphas
    ]


def auroc(good: Sequence[float], bad: Sequence[float]) -> float | None:
    """Return the chance that a bad picture scores above a good one, ties counted half; None without
    pictures of both kinds."""
    if not good or not bad:
        return None
    above = [(b > g) + 0.5 * (b == g) for b in bad for g in good]
    return math.fsum(above) / len(above)


def table(rows: Sequence[Row], good: int, held_out: int, defects: int) -> str:
    """Return the counts as a table for people."""
    columns = [f"of {good} good, stopped"]
    columns += [f"of {held_out} other good, stopped"] if held_out else []
    columns += [f"of {defects} defects, missed"] if defects else []
    lines = ["alpha   " + "   ".join(columns)]
    for row in rows:
        cells = [row.good_stopped]
        cells += [row.held_out_stopped] if row.held_out_stopped is not None else []
        cells += [row.defects_missed] if row.defects_missed is not None else []
        shown = (f"{cell:>{len(name)}}" for cell, name in zip(cells, columns, strict=True))
        alpha = f"{row.alpha:g}" if row.alpha in ALPHAS else at_least(row.alpha)
        lines.append(f"{alpha:<8}" + "   ".join(shown))
    return "\n".join(lines)


def _p_among_others(score: float, reference: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """Return the p-value of one of the calibration's own scores, ranked among the others."""
    place = int(np.searchsorted(reference, score))
    return p_value(score, np.delete(reference, place))
