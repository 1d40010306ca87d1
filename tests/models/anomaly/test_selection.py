"""Benjamini and Hochberg's selection: by hand, by its definition, and what it promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from models.anomaly.conformal import p_value
from models.anomaly.selection import benjamini_hochberg

# P-values of a calibration of 199 images.
ranks = st.lists(st.integers(1, 200).map(lambda rank: rank / 200), min_size=1, max_size=30)
rates = st.integers(1, 199).map(lambda rate: rate / 200)


@pytest.mark.parametrize(
    ("p_values", "fdr", "selected"),
    [
        # The bounds are 0.025, 0.05, 0.075 and 0.1: the third passes, and carries the second.
        ([0.07, 0.9, 0.06, 0.02], 0.1, [True, False, True, True]),
        # 0.01 passes alone: 0.06 is above 2/4 and 0.09 above 3/4 of 0.1.
        ([0.09, 0.01, 0.06, 0.5], 0.1, [False, True, False, False]),
        # None passes: 1/20 is above 0.1 / 3.
        ([0.05, 0.2, 0.9], 0.1, [False, False, False]),
        # All pass at the bound itself, though no single one would.
        ([0.05, 0.05, 0.05], 0.05, [True, True, True]),
        # Those that are equal to the last one that passes are selected with it.
        ([0.1, 0.05, 0.1, 0.1], 0.1, [True, True, True, True]),
        ([0.3], 0.3, [True]),
        ([0.3], 0.29, [False]),
        # 3 times 0.1 is above 0.3 in binary: the bound is met all the same.
        ([0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9], 0.3, [True] * 3 + [False] * 6),
    ],
)
def test_examples_by_hand(p_values: list[float], fdr: float, selected: list[bool]) -> None:
    assert benjamini_hochberg(p_values, fdr) == selected


@given(ranks, rates)
def test_it_is_scipy_s(p_values: list[float], fdr: float) -> None:
    adjusted = false_discovery_control(p_values)
    assert benjamini_hochberg(p_values, fdr) == [p <= fdr * (1 + 1e-12) for p in adjusted]


@given(ranks, rates, rates)
def test_a_higher_rate_selects_no_less(p_values: list[float], one: float, other: float) -> None:
    fewer, more = (benjamini_hochberg(p_values, rate) for rate in sorted((one, other)))
    assert all(b for a, b in zip(fewer, more, strict=True) if a)


@given(ranks, rates, st.data())
def test_a_smaller_p_value_takes_no_image_away(
    p_values: list[float], fdr: float, data: st.DataObject
) -> None:
    before = benjamini_hochberg(p_values, fdr)
    place = data.draw(st.integers(0, len(p_values) - 1))
    smaller = [p / 2 if index == place else p for index, p in enumerate(p_values)]
    after = benjamini_hochberg(smaller, fdr)
    assert all(b for a, b in zip(before, after, strict=True) if a)


@given(ranks, rates)
def test_a_stranger_image_is_selected_before_another(p_values: list[float], fdr: float) -> None:
    selected = benjamini_hochberg(p_values, fdr)
    chosen = [p for p, is_selected in zip(p_values, selected, strict=True) if is_selected]
    others = [p for p, is_selected in zip(p_values, selected, strict=True) if not is_selected]
    assert max(chosen, default=0.0) < min(others, default=1.1)


def test_the_share_of_good_images_among_the_selected_is_bounded() -> None:
    """30 of 40 images are good: the bound is 0.75 of the rate, over calibrations and requests."""
    dice, shares, fdr = np.random.default_rng(0), [], 0.2
    for _ in range(600):
        calibration = np.sort(dice.standard_normal(100))
        scores = np.concatenate([dice.standard_normal(30), dice.normal(3, 1, 10)])
        selected = benjamini_hochberg([p_value(one, calibration) for one in scores], fdr)
        shares.append(sum(selected[:30]) / max(1, sum(selected)))
    error = np.std(shares) / np.sqrt(len(shares))
    assert abs(np.mean(shares) - 0.75 * fdr) < 4 * error
