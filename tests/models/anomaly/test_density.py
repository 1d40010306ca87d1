"""The density over statistics, where the truth is known."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from models.anomaly.density import Component, Density
from models.anomaly.fitting import fit_density

NAMES = ("a", "b")
DICE = np.random.default_rng(0)
FACTOR = np.array([[2.0, 0.0], [1.5, 0.5]])
SAMPLE = 5 + DICE.standard_normal((3000, 2)) @ FACTOR.T
TWO_KINDS = np.concatenate([SAMPLE[:1500], SAMPLE[1500:] * [1.0, -1.0] - [20.0, 0.0]])


def test_the_score_is_minus_the_log_density() -> None:
    whitening = [np.array([[0.5, 0.2], [0.0, 1.5]]), np.array([[1.0, -0.3], [0.0, 0.7]])]
    means, weights = np.array([[0.0, 1.0], [2.0, -1.0]]), (0.3, 0.7)
    density = Density(
        names=NAMES,
        mean=(1.0, 2.0),
        scale=(2.0, 4.0),
        components=tuple(
            Component(
                log_weight=float(np.log(weight)),
                mean=tuple(mean.tolist()),
                whitening=tuple(map(tuple, part.tolist())),
            )
            for weight, mean, part in zip(weights, means, whitening, strict=True)
        ),
    )
    table = DICE.standard_normal((9, 2)) * 5
    expected = sum(
        weight
        * multivariate_normal(mean, np.linalg.inv(part @ part.T)).pdf((table - [1, 2]) / [2, 4])
        for weight, mean, part in zip(weights, means, whitening, strict=True)
    )
    np.testing.assert_allclose(density.score(table), -np.log(expected), rtol=1e-9)


def test_a_fit_finds_the_density_it_was_given() -> None:
    found = fit_density(NAMES, SAMPLE, seed=0)
    truth = multivariate_normal([5, 5], FACTOR @ FACTOR.T).logpdf(SAMPLE)
    # Scores are densities of standardised values.
    error = found.score(SAMPLE) + truth + np.log(SAMPLE.std(0)).sum()
    assert np.abs(error).mean() < 0.15


def test_a_broken_correlation_is_strange_where_no_single_statistic_is() -> None:
    found = fit_density(NAMES, SAMPLE, seed=0)
    usual, odd = 5 + SAMPLE.std(0) * [1.0, 1.0], 5 + SAMPLE.std(0) * [1.0, -1.0]
    assert found.score(odd[None])[0] > found.score(usual[None])[0] + 3


def test_between_two_kinds_is_strange() -> None:
    found = fit_density(NAMES, TWO_KINDS, seed=0)
    middle, *ends = found.score(np.array([[-5.0, 0.0], [5.0, 5.0], [-15.0, -5.0]]))
    assert middle > max(ends) + 3


def test_a_statistic_that_never_changed_does_no_harm() -> None:
    table = SAMPLE.copy()
    table[:, 1] = 7.0
    found = fit_density(NAMES, table, seed=0)
    assert np.isfinite(found.score(table)).all()
    moved = table[:1].copy()
    moved[0, 1] += 1
    assert found.score(moved)[0] > found.score(table[:1])[0] + 3


def test_it_is_the_seed_s_and_can_be_written_down() -> None:
    found = fit_density(NAMES, TWO_KINDS, seed=0)
    assert fit_density(NAMES, TWO_KINDS, seed=0) == found
    assert Density.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize("size", [1e6, 1e100])
def test_far_away_is_a_number_still(size: float) -> None:
    found = fit_density(NAMES, SAMPLE, seed=0)
    assert np.isfinite(found.score(np.full((1, 2), size)))[0]
    assert found.score(np.full((1, 2), 1e300)) == np.inf
