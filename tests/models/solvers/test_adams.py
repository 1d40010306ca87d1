"""The solver of likelihoods against closed forms, a precise solver and its own promises."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from flows import (
    OFFICIAL,
    SMALL,
    Broken,
    Erratic,
    density_of,
    images_of,
    integrated,
    log_p0,
    mixture,
    mixtures_with_densities,
    problem_of,
    pulled_back,
    with_exact_trace,
)
from scipy import stats
from torch import Tensor

from models.rows.rows import take
from models.schema.ode_error import PARTS, OdeErrorScales
from models.schema.specs import Adams
from models.solvers.adams import LONGEST, MAX_FACTOR, ROUGH_SHARE, AdamsSolver
from models.solvers.base import RowStatus
from models.solvers.flow import moment, question
from models.solvers.rk45 import Rk45Solver
from models.work.likelihood import score_problem
from models.work.solve import solve

ADAMS = AdamsSolver()


@pytest.mark.parametrize("noise", [OFFICIAL, SMALL])
@pytest.mark.parametrize("dimensions", [2, 64, 784, 3072])
@pytest.mark.parametrize("tolerance", [0.5, 0.05])
def test_a_diagonal_gaussian_has_its_pulled_back_density(
    tolerance: float, dimensions: int, noise: tuple[float, int]
) -> None:
    denoiser = mixture(dimensions, 1, noise, seed=2)
    problem = problem_of(denoiser, images_of(denoiser, 3), tolerance_nats=tolerance)
    density = density_of(denoiser, problem, ADAMS)
    assert density.status.tolist() == [RowStatus.DONE] * 3
    error = log_p0(density) - pulled_back(denoiser, problem.columns.image)
    assert error.abs().max() <= tolerance
    # Signs have no variance on a diagonal Jacobian.
    assert torch.allclose(density.log_det[:, 0], density.log_det[:, 1], rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize("tolerance", [1.0, 0.5, 0.05, 0.005])
def test_the_tolerance_is_honoured(tolerance: float) -> None:
    within: list[bool] = []
    for denoiser, tokens, precise in mixtures_with_densities():
        problem = problem_of(denoiser, tokens, probing="fixed", tolerance_nats=tolerance)
        density = density_of(denoiser, problem, ADAMS)
        within += ((log_p0(density) - precise).abs() <= tolerance).tolist()
    assert np.mean(within) >= 0.95


def test_mixtures_agree_with_another_integrator() -> None:
    denoiser = mixture(3, 4)
    problem = with_exact_trace(problem_of(denoiser, images_of(denoiser, 3), tolerance_nats=1e-3))
    density = density_of(denoiser, problem, AdamsSolver(dtype=torch.float64))
    for row in range(3):
        expected = integrated(denoiser, problem, row)
        assert float(log_p0(density)[row]) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("probes", [1, 2, 4])
def test_a_student_interval_covers_the_trace(probes: int) -> None:
    """Mixtures whose Jacobian is far from diagonal, at nominal 95 %; and no bias."""
    covered: list[bool] = []
    errors: list[float] = []
    for seed in range(2):
        denoiser = mixture(8, 4, SMALL, seed)
        spec = Adams(probes=probes)
        problem = score_problem(denoiser, images_of(denoiser, 150), spec, seed=seed, draws=1)
        density = density_of(denoiser, problem, ADAMS)
        exact = density_of(denoiser, with_exact_trace(problem), ADAMS).log_det.mean(1)
        error = density.log_det.mean(1) - exact
        quantile = torch.from_numpy(stats.t.ppf(0.975, density.trace.freedom.numpy()))
        covered += (error.abs() <= quantile * density.trace.variance.sqrt()).tolist()
        errors += error.tolist()
    assert 0.90 <= np.mean(covered) <= 0.99
    assert abs(np.mean(errors)) < 3 * np.std(errors) / math.sqrt(len(errors))


def test_steps_do_not_look_at_the_probes() -> None:
    denoiser = mixture(8, 4, SMALL)
    tokens = images_of(denoiser, 4)
    one, other = (
        solve(ADAMS, problem_of(denoiser, tokens, probes=probes, tolerance_nats=0.005), denoiser)
        for probes in (1, 3)
    )
    assert torch.equal(one.nfe, other.nfe)
    assert torch.allclose(one.x, other.x, rtol=1e-12)


def test_fresh_probes_err_less_than_fixed_ones() -> None:
    denoiser = mixture(8, 4, SMALL)
    tokens = images_of(denoiser, 40)
    spread = []
    for probing in ("fresh", "fixed"):
        problem = problem_of(denoiser, tokens, probes=2, probing=probing)
        exact = density_of(denoiser, with_exact_trace(problem), ADAMS).log_det.mean(1)
        error = density_of(denoiser, problem, ADAMS).log_det.mean(1) - exact
        spread.append(float(error.square().mean().sqrt()))
    assert spread[0] < 0.6 * spread[1]


def test_forward_and_back_is_the_image() -> None:
    denoiser = mixture(8, 3, SMALL)
    problem = problem_of(denoiser, images_of(denoiser, 4), tolerance_nats=1e-3)
    state = solve(AdamsSolver(dtype=torch.float64), problem, denoiser)
    condition, probes, steps = problem.condition, problem.columns.probes, 800

    def slope(x: Tensor, s: float) -> Tensor:
        time = torch.full((4,), s, dtype=torch.float64)
        asked = question(condition, moment(condition, time), x, probes, torch.float64)
        rho = condition.schedule.noise(asked.t).rho
        return 0.5 * condition.dgamma_ds(asked.t) * rho * denoiser.evaluate(asked, condition).eps

    x = state.x
    for step in range(steps, 0, -1):
        end, middle = step / steps, (step - 0.5) / steps
        x = x - slope(x - slope(x, end) / (2 * steps), middle) / steps
    scale = condition.schedule.noise(torch.zeros(4, dtype=torch.float64)).rho
    assert ((x - problem.columns.image) / scale).abs().max() < 0.02


def test_a_tighter_tolerance_costs_more_and_errs_less() -> None:
    denoiser = mixture(16, 4)
    tokens = images_of(denoiser, 8)
    problem = problem_of(denoiser, tokens, probing="fixed")
    precise = log_p0(density_of(denoiser, problem, Rk45Solver(60, torch.float64)))
    costs, errors, estimates = [], [], []
    # Looser ones all have steps of the longest length.
    tolerances = (0.01, 0.001, 0.0001)
    for tolerance in tolerances:
        density = density_of(
            denoiser, problem_of(denoiser, tokens, probing="fixed", tolerance_nats=tolerance), ADAMS
        )
        costs.append(float(density.nfe.double().mean()))
        errors.append(float((log_p0(density) - precise).abs().mean()))
        estimates.append(float(density.error.mean()))
    assert costs == sorted(costs)
    assert costs[0] < costs[-1]
    assert errors == sorted(errors, reverse=True)
    assert all(error <= tolerance for error, tolerance in zip(errors, tolerances, strict=True))
    assert estimates == sorted(estimates, reverse=True)


def test_a_step_that_errs_is_taken_again_and_the_next_ones_grow_slowly() -> None:
    good = mixture(8, 5, SMALL)
    denoiser = Broken(good.config, good.weights, good.means, good.variances)
    problem = problem_of(denoiser, images_of(good, 4), tolerance_nats=0.01)
    solver, found = AdamsSolver(), []
    solve(solver, problem, denoiser, found.append)
    s = torch.stack([state.s for state in found])
    taken = s.diff(dim=0)
    assert (taken[1:] == 0).any(), "no step was ever refused"
    for row in taken.T:
        steps = row[row > 0]
        # The last step is cut off at the end.
        assert (steps[1:-1] <= MAX_FACTOR * steps[:-2] * (1 + 1e-9)).all()


@pytest.mark.parametrize("whole", [0.25, 1.0, 2.0])
@pytest.mark.parametrize("tolerance", [10.0, 0.5, 0.05])
def test_no_step_is_longer_than_its_part_of_the_way_and_the_tolerance_allow(
    tolerance: float, whole: float
) -> None:
    """Steps lie on the line through the middles of the parts, times the fourth root of the
    tolerance."""
    denoiser = mixture(8, 2, SMALL)
    tokens, spec = images_of(denoiser, 2), Adams(tolerance_nats=tolerance)
    lengths = (0.01, 0.01, 0.02, 0.03, 0.03, 0.03, 0.03, 0.02, 0.01, 0.02)
    # The error that x shows is as good as left out.
    scales = OdeErrorScales(1e-9, whole, lengths)
    problem = score_problem(denoiser, tokens, spec, 0, 1, error_scales=scales)
    found: list[Any] = []
    solve(ADAMS, problem, denoiser, found.append)
    taken = torch.stack([state.s for state in found])[:, 0]
    begun, steps = taken[:-1], taken.diff()
    middles = (np.arange(10) + 0.5) / 10
    loose = min(max(1.0, tolerance / 0.5), LONGEST**4)
    longer = min(loose, ROUGH_SHARE * tolerance / 0.5 / whole) ** 0.25
    longest = longer * np.interp(begun.numpy(), middles, lengths)
    ratio = steps.numpy() / longest
    assert ratio.max() <= 1 + 1e-9
    # All but the first and the last are as long, where their lengths do not grow too fast.
    assert np.median(ratio) > 0.999


def test_the_estimate_is_that_of_the_steps_lengths() -> None:
    denoiser = mixture(8, 2, SMALL)
    tokens = images_of(denoiser, 3)
    estimates = []
    for part in (1.0, 0.5):
        scales = OdeErrorScales(1e-9, 1.0, tuple([part / 40] * PARTS))
        problem = score_problem(denoiser, tokens, Adams(), 0, 1, error_scales=scales)
        equal = AdamsSolver(fixed_steps=80)
        estimates.append(density_of(denoiser, problem, equal).error)
    assert torch.allclose(estimates[1], torch.full_like(estimates[1], 0.5), rtol=1e-6)
    assert torch.allclose(estimates[0], estimates[1] / 16, rtol=1e-6)


def test_a_row_gives_up_at_its_own_limit() -> None:
    denoiser = mixture(4, 2)
    problem = problem_of(denoiser, images_of(denoiser, 3))
    limits = torch.tensor([8, 2000, 20])
    problem = problem._replace(columns=problem.columns._replace(max_evaluations=limits))
    density = density_of(denoiser, problem, ADAMS)
    given_up = RowStatus.TOO_MANY_EVALUATIONS
    assert density.status.tolist() == [given_up, RowStatus.DONE, given_up]
    assert density.nfe[[0, 2]].tolist() == [8, 20]


def test_a_step_that_never_succeeds_ends_in_a_status() -> None:
    good = mixture(4, 2)
    denoiser = Erratic(good.config, good.weights, good.means, good.variances)
    denoiser.jump = 1e6
    problem = problem_of(denoiser, images_of(good, 2), tolerance_nats=0.01)
    assert density_of(denoiser, problem, ADAMS).status.tolist() == [RowStatus.STEP_TOO_SMALL] * 2


def test_rows_do_not_depend_on_their_neighbours() -> None:
    denoiser = mixture(8, 4)
    problem = problem_of(denoiser, images_of(denoiser, 5), tolerance_nats=0.05)
    together: Any = solve(ADAMS, problem, denoiser)
    order = torch.tensor([3, 0, 4, 1, 2])
    permuted: Any = solve(ADAMS, take(problem, order), denoiser)
    alone: Any = solve(ADAMS, take(problem, order[:1]), denoiser)
    for one, index in ((permuted, order), (alone, order[:1])):
        assert torch.equal(one.x, together.x[index])
        assert torch.equal(one.log_det, together.log_det[index])
