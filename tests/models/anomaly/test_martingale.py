"""The test of drift: uniform p-values, the bound on false alarms, and what it sees."""

import math
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import kstest

from models.anomaly.conformal import FAILED
from models.anomaly.growing_ranks import GrowingRanks
from models.anomaly.recent_means import RecentMeans
from models.anomaly.simple_jumper import SimpleJumper

HUNDRED = 2.0


def highest(calibration: np.ndarray, later: np.ndarray, key: str = "") -> float:
    ranks, martingale = GrowingRanks(calibration.tolist(), key), SimpleJumper()
    for score in later.tolist():
        martingale.bet(ranks.p_value(score))
    return martingale.log10_max


def test_a_p_value_lies_between_its_rank_s_bounds() -> None:
    ranks = GrowingRanks([3.0, 1.0, FAILED], "a key")
    assert 2 / 4 <= ranks.p_value(2.0) < 3 / 4
    # One of 1, 2, 3 and infinity is above 3, one is equal.
    assert 1 / 5 <= ranks.p_value(3.0) < 3 / 5
    assert 0 <= ranks.p_value(FAILED) < 2 / 6
    assert 6 / 7 <= ranks.p_value(-1.0) < 1


def test_the_uniform_numbers_are_the_key_s() -> None:
    def drawn(key: str) -> list[float]:
        ranks = GrowingRanks([], key)
        return [ranks.p_value(0.0) for _ in range(3)]

    assert drawn("one") == drawn("one")
    assert drawn("one") != drawn("other")
    assert drawn("")[0] == pytest.approx(GrowingRanks([], "").p_value(0.0))


def test_every_order_of_scores_has_its_own_ranks() -> None:
    """In the 24 orders of four scores, the third and fourth ranks are each combination twice."""
    found = Counter()
    for order in permutations([1.0, 2.0, 3.0, 4.0]):
        ranks = GrowingRanks(order[:2], "a key")
        found[int(3 * ranks.p_value(order[2])), int(4 * ranks.p_value(order[3]))] += 1
    assert found == {(third, fourth): 2 for third in range(3) for fourth in range(4)}


@pytest.mark.parametrize("decimals", [0, 9])
def test_p_values_are_uniform_and_independent_whatever_the_ties(decimals: int) -> None:
    dice, pairs = np.random.default_rng(0), []
    for trial in range(1000):
        scores = dice.standard_normal(12).round(decimals).tolist()
        ranks = GrowingRanks(scores[:10], str(trial))
        pairs.append([ranks.p_value(scores[10]), ranks.p_value(scores[11])])
    first, second = np.array(pairs).T
    for values in (first, second):
        assert kstest(values, "uniform").pvalue > 0.001
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / math.sqrt(1000)


def test_a_martingale_is_one_on_average() -> None:
    """Over all p-values of a fine even grid, each bet's factor is 1 on average."""
    grid = (np.arange(100) + 0.5) / 100
    for before in ([], [0.1] * 9, [0.9, 0.2, 0.8]):
        factors = []
        for p in grid:
            martingale = SimpleJumper()
            for earlier in before:
                martingale.bet(earlier)
            was = martingale.log10
            martingale.bet(p)
            factors.append(10 ** (martingale.log10 - was))
        assert np.mean(factors) == pytest.approx(1)


def test_a_capital_by_hand() -> None:
    martingale = SimpleJumper()
    martingale.bet(0.25)
    assert martingale.log10 == pytest.approx(0)
    martingale.bet(0.25)
    # Parts of 1.25, 1 and 0.75 thirds, of which 1e-4 was spread evenly.
    parts = [(1 - 1e-4) * share / 3 + 1e-4 / 3 for share in (1.25, 1.0, 0.75)]
    capital = 1.25 * parts[0] + parts[1] + 0.75 * parts[2]
    assert martingale.log10 == pytest.approx(math.log10(capital))
    assert martingale.log10_max == martingale.log10
    martingale.bet(0.75)
    assert martingale.log10 < martingale.log10_max


def test_without_drift_one_in_ten_tests_reaches_ten() -> None:
    dice = np.random.default_rng(0)
    found = [
        highest(dice.standard_normal(20), dice.standard_normal(150), str(trial))
        for trial in range(300)
    ]
    assert np.mean(np.array(found) >= 1) < 0.1
    assert np.mean(np.array(found) >= HUNDRED) <= 0.01


@pytest.mark.parametrize(("mean", "spread"), [(1.5, 1.0), (-1.5, 1.0), (8.0, 1.0)])
def test_images_that_shift_either_way_are_seen(mean: float, spread: float) -> None:
    dice = np.random.default_rng(0)
    good = dice.standard_normal(500)
    strange = dice.normal(mean, spread, 60)
    assert highest(dice.standard_normal(150), good) < HUNDRED
    assert highest(dice.standard_normal(150), np.concatenate([good, strange])) >= HUNDRED


def test_a_few_defects_are_no_drift() -> None:
    dice = np.random.default_rng(0)
    scores = dice.standard_normal(1500)
    scores[::20] = 9.0
    assert highest(dice.standard_normal(150), scores) < HUNDRED


def test_recent_means_forget_and_are_bounded() -> None:
    means = RecentMeans(("a", "b"))
    assert means.means == {"a": 0.0, "b": 0.0}
    means.add([{"a": 1.0, "b": -1e300}])
    means.add([{"a": 2.0, "b": math.inf, "more": 7.0}])
    assert means.means == {"a": 1.5, "b": 0.0}
    for _ in range(198):
        means.add([{"a": 0.0, "b": 0.0}])
    assert means.means["a"] == pytest.approx(3 / 200)
    for _ in range(400):
        means.add([{"a": 1.0, "b": 0.0}])
    assert means.means["a"] == pytest.approx(1 - (1 - 3 / 200) * (199 / 200) ** 400)


def test_tiles_of_one_picture_count_as_one_image() -> None:
    means = RecentMeans(("a",))
    means.add([{"a": -math.inf}, {"a": math.inf}, {"a": 3.0}])
    means.add([{"a": 0.0}])
    assert means.means["a"] == 0.5
