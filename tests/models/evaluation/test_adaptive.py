"""One step size for a whole batch: SciPy's steps, which are those of the authors' evaluation."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from models.evaluation.likelihood.adaptive import State, follow, solve
from models.schema.errors import EvaluationError


def pendulums(t: float, y: State) -> State:
    """Pendulums of several lengths, pushed now and then."""
    angle, speed = np.split(y, 2)
    push = np.exp(-30 * (t - 0.4) ** 2)
    return np.concatenate([speed, push - np.linspace(3, 200, len(angle)) * np.sin(angle)])


START = np.random.default_rng(0).standard_normal(24)


@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (1.0, 0.0)])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-5, 1e-9])
def test_the_steps_are_scipys(start: float, end: float, tolerance: float) -> None:
    ours = solve(pendulums, start, end, START, tolerance)
    theirs = solve_ivp(pendulums, (start, end), START, "RK45", rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(ours.times, theirs.t, rtol=1e-9)
    np.testing.assert_allclose(ours.state, theirs.y[:, -1], rtol=1e-9)
    assert ours.nfe == theirs.nfev


def test_a_state_that_stands_still_is_solved() -> None:
    solved = solve(lambda t, y: 0 * y, 0.0, 1.0, np.zeros(3), 1e-5)
    assert solved.times[-1] == 1
    assert not solved.state.any()


def test_its_own_times_can_be_followed_again() -> None:
    solved = solve(pendulums, 0.0, 1.0, START, 1e-5)
    again = follow(pendulums, START, solved.times)
    np.testing.assert_allclose(again.state, solved.state, rtol=1e-9)
    assert again.nfe == 6 * (len(solved.times) - 1)


@pytest.mark.parametrize("after", [0.0, 0.5])
def test_a_slope_that_turns_nan_is_an_error(after: float) -> None:
    def slope(t: float, y: State) -> State:
        return y if t < after else y * np.nan

    with pytest.raises(EvaluationError, match="its step vanishes"):
        solve(slope, 0.0, 1.0, START, 1e-5)
