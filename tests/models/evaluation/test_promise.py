"""The promise on good pictures: counts, what is likely, and new divisions."""

import numpy as np
import pytest

from models.anomaly.conformal import FAILED, p_value, p_values
from models.evaluation.anomalies.promise import check_promise, likely, promise_table

DICE = np.random.default_rng(0)


def test_p_values_of_many_are_those_of_each() -> None:
    calibration = np.sort(np.append(DICE.integers(0, 9, 30).astype(float), FAILED))
    scores = np.append(np.arange(-1.0, 10.0), FAILED)
    expected = [p_value(score, calibration) for score in scores]
    assert p_values(scores, calibration).tolist() == expected


@pytest.mark.parametrize(("alpha", "calibration", "judged"), [(0.05, 83, 200), (0.2, 20, 20)])
def test_the_likely_range_holds_nineteen_times_of_twenty(
    alpha: float, calibration: int, judged: int
) -> None:
    """By simulation of what it is about: a calibration and pictures that are like it."""
    draws = 4000
    scores = DICE.standard_normal((draws, calibration + judged))
    counts = np.array(
        [(p_values(one[calibration:], np.sort(one[:calibration])) <= alpha).sum() for one in scores]
    )
    low, high = likely(alpha, calibration, judged)
    inside = ((counts >= low) & (counts <= high)).mean()
    assert inside + 0.01 >= 0.95
    # It is no wider than it has to be.
    assert (counts < low).mean() < 0.035
    assert (counts > high).mean() < 0.035


def test_an_alpha_that_is_too_small_flags_nothing() -> None:
    assert likely(0.05, 10, 100) == (0, 0)


def test_good_pictures_that_are_alike() -> None:
    found = check_promise(
        DICE.standard_normal(99), DICE.standard_normal(200), DICE.standard_normal(50) + 9, 300, 0
    )
    assert (found.calibration, found.good, found.defective, found.divisions) == (99, 200, 50, 300)
    assert found.alike.low < 0.5 < found.alike.high
    for row in found.rows:
        assert row.likely[0] <= row.good <= row.likely[1]
        assert row.good_again.mean == pytest.approx(row.alpha, abs=0.01)
        assert row.good_again.deviation == pytest.approx(
            np.sqrt(row.alpha * (1 - row.alpha) * (1 / 99 + 1 / 200)), rel=0.3
        )
        assert (row.defective, row.defective_again.mean) == (50, 1.0)
    text = promise_table(found)
    assert "| 0.05 | " in text
    assert "| 50: 1.000 ± 0.000 | 1.000 ± 0.000 |" in text


def test_good_pictures_that_are_not_alike() -> None:
    """New divisions cannot show it, since they mix both; the calibration as it is does."""
    found = check_promise(
        DICE.standard_normal(99), DICE.standard_normal(200) + 1, DICE.standard_normal(9), 200, 0
    )
    assert found.alike.low > 0.6
    for row in found.rows:
        assert row.good > row.likely[1]
        assert row.good_again.mean == pytest.approx(row.alpha, abs=0.02)
