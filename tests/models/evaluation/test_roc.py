"""Separation of scores, against another library and by hand."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from models.evaluation.anomalies.roc import curve, measures, separation

DICE = np.random.default_rng(0)
SMOOTH = DICE.standard_normal(150), DICE.standard_normal(90) + 1.5
TIED = np.rint(SMOOTH[0]), np.rint(SMOOTH[1])
FAILED = np.append(TIED[0], math.inf), np.append(TIED[1], [math.inf] * 3)


@pytest.mark.parametrize("pair", [SMOOTH, TIED, FAILED], ids=["smooth", "tied", "failed"])
def test_each_measure_is_another_library_s(pair: tuple[np.ndarray, np.ndarray]) -> None:
    normal, abnormal = pair
    labels = np.repeat([0, 1], [len(normal), len(abnormal)])
    scores = np.nan_to_num(np.concatenate(pair), posinf=1e9)
    measured = measures(normal, abnormal)
    assert measured.auroc == pytest.approx(roc_auc_score(labels, scores))
    assert measured.aupr == pytest.approx(average_precision_score(labels, scores))
    false_alarms, found, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert measured.fpr95 == pytest.approx(false_alarms[found >= 0.95].min())
    ours = curve(normal, abnormal)
    np.testing.assert_allclose(ours.false_alarms, false_alarms)
    np.testing.assert_allclose(ours.found, found)


def test_by_hand() -> None:
    normal, abnormal = np.array([0.0, 1.0]), np.array([1.0, 2.0])
    assert measures(normal, abnormal) == pytest.approx((0.875, 0.5 * 1 + 0.5 * 2 / 3, 0.5))
    assert measures(normal, normal).auroc == 0.5


def test_intervals_hold_the_value_and_are_the_seed_s() -> None:
    found = separation(*SMOOTH, seed=1, resamples=200)
    for interval in (found.auroc, found.aupr, found.fpr95):
        assert interval.low < interval.value < interval.high
    assert found == separation(*SMOOTH, seed=1, resamples=200)
    assert found != separation(*SMOOTH, seed=2, resamples=200)
    # The standard error of an AUROC near 0.85 with these sizes is about 0.025.
    assert 0.05 < found.auroc.high - found.auroc.low < 0.15


def test_perfect_separation_has_no_width() -> None:
    found = separation(np.arange(20.0), np.arange(20.0) + 100, resamples=50)
    assert str(found.auroc) == "1.000 (1.000, 1.000)"
    assert found.fpr95.value == 0
