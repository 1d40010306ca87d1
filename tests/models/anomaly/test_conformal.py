"""P-values: the formula itself, and what it promises of exchangeable scores."""

import math
from itertools import product

import numpy as np
import pytest

from models.anomaly.conformal import FAILED, at_least, p_value, smallest_alpha


def test_the_formula_with_ties_and_failures() -> None:
    calibration = np.array([1.0, 2.0, 2.0, 3.0, FAILED])
    expected = {
        0.5: 6 / 6,
        1.0: 6 / 6,
        1.5: 5 / 6,
        2.0: 5 / 6,
        2.5: 3 / 6,
        3.0: 3 / 6,
        9.0: 2 / 6,
        FAILED: 2 / 6,
    }
    for score, p in expected.items():
        assert p_value(score, calibration) == p
        counted = (1 + sum(other >= score for other in calibration)) / 6
        assert p == counted


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_no_alpha_is_exceeded_whatever_the_ties(m: int) -> None:
    """Over every way in which m + 1 exchangeable scores can fall, the last one among them."""
    for levels in product([0.0, 1.0, 2.0, FAILED], repeat=m + 1):
        values = [
            p_value(levels[last], np.sort(np.delete(np.array(levels), last)))
            for last in range(m + 1)
        ]
        for alpha in np.arange(1, m + 2) / (m + 1):
            assert np.mean([p <= alpha for p in values]) <= alpha + 1e-12


def test_without_ties_p_values_are_uniform() -> None:
    dice = np.random.default_rng(0)
    m, trials = 19, 4000
    scores = dice.standard_normal((trials, m + 1))
    values = [p_value(row[0], np.sort(row[1:])) for row in scores]
    counts = np.bincount(np.rint(np.array(values) * (m + 1)).astype(int), minlength=m + 2)[1:]
    expected = trials / (m + 1)
    # 43.8 is the 0.999 quantile of chi squared with 19 degrees.
    assert ((counts - expected) ** 2 / expected).sum() < 43.8
    assert math.isclose(min(values), smallest_alpha(m))


def test_the_smallest_alpha_is_the_smallest_p_value() -> None:
    assert smallest_alpha(19) == 0.05
    assert p_value(1e300, np.zeros(19)) == 0.05


@pytest.mark.parametrize("m", [19, 40, 150, 1000, 2000, 123_456])
def test_the_smallest_alpha_that_is_shown_is_taken(m: int) -> None:
    shown = float(at_least(smallest_alpha(m)))
    assert smallest_alpha(m) <= shown <= smallest_alpha(m) * 1.001
