"""The plan of draws and solves that reach a total error."""

import math

import pytest
from scipy.stats import t as student

from models.schema.aims import Aim
from models.work.precision import GROWTH, Grid, Variances, further, variances, widened


@pytest.mark.parametrize("freedom", [1, 2, 3.5, 7, 12.5, 40, 1e6])
def test_an_error_is_widened_as_students_t_is(freedom: float) -> None:
    exact = 2 * student.ppf(0.975, freedom) / 1.96
    # Between the table's degrees of freedom it is linear in their inverse.
    assert widened(2.0, freedom) == pytest.approx(exact, rel=0.03)


def test_errors_that_are_not_estimated_count_as_none() -> None:
    assert variances(None, None, 1, 0.5) == Variances(0, 0, 0.25)
    assert variances((1.0, math.inf), 2.0, 2, 0.5).total > 2


def test_an_error_that_is_small_enough_takes_nothing_more() -> None:
    assert further(Variances(0.5, 0, 0.01), Grid(1, 1), [70], Aim(1.0, 2000)) is None


def test_solves_divide_the_variance_of_the_trace() -> None:
    assert further(Variances(1.0, 0, 0.0), Grid(1, 1), [70], Aim(0.6, 2000)) == Grid(1, 3)
    assert further(Variances(0.5, 0, 0.01), Grid(1, 2), [140], Aim(0.6, 2000)) == Grid(1, 3)


def test_draws_divide_their_own_variance() -> None:
    assert further(Variances(0.0, 1.0, 0.0), Grid(2, 1), [70, 70], Aim(0.8, 2000)) == Grid(4, 1)


def test_both_are_added_where_both_err() -> None:
    grid = further(Variances(1.0, 1.0, 0.0), Grid(2, 1), [70, 70], Aim(1.0, 2000))
    assert grid is not None
    assert 1.0 / grid.solves + 2 * 1.0 / grid.draws <= 1.0


@pytest.mark.parametrize("bound", [100, 210, 500, 5000])
def test_evaluations_stay_within_their_bound(bound: int) -> None:
    for found in (Variances(30.0, 0, 0.0), Variances(0.0, 30.0, 0.0), Variances(9.0, 9.0, 0.0)):
        grid = further(found, Grid(2, 1), [35, 35], Aim(0.5, bound))
        if grid is None:
            assert bound < 150
        else:
            assert grid.size * 35 <= bound
            assert 2 < grid.size <= 2 * GROWTH


def test_an_error_of_the_ode_alone_is_not_helped_by_solves() -> None:
    assert further(Variances(0.1, 0, 2.0), Grid(1, 1), [70], Aim(1.0, 2000)) is None
