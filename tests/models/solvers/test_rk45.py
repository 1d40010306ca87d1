"""The precise probability-flow solver against closed forms, another integrator and its promises."""

import numpy as np
import pytest
import torch
from flows import (
    OFFICIAL,
    SMALL,
    Erratic,
    config_of,
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

from models.evaluation.analytic import Gaussian
from models.solvers import dormand_prince as table
from models.solvers.base import RowStatus
from models.solvers.rk45 import Rk45Solver

RK45 = Rk45Solver()


@pytest.mark.parametrize("noise", [OFFICIAL, SMALL])
@pytest.mark.parametrize("dimensions", [2, 8, 64, 256])
def test_a_diagonal_gaussian_has_its_pulled_back_density(
    dimensions: int, noise: tuple[float, int]
) -> None:
    for seed in range(3):
        denoiser = mixture(dimensions, 1, noise, seed)
        problem = problem_of(denoiser, images_of(denoiser, 8), tolerance_nats=1e-4 * dimensions)
        density = density_of(denoiser, problem, RK45)
        assert density.status.tolist() == [RowStatus.DONE] * 8
        error = log_p0(density) - pulled_back(denoiser, problem.columns.image)
        assert error.abs().max() <= 1e-4 * dimensions
        # Signs have no variance on a diagonal Jacobian.
        assert torch.allclose(density.log_det[:, 0], density.log_det[:, 1], rtol=0, atol=1e-4)


@pytest.mark.parametrize("noise", [OFFICIAL, SMALL])
def test_mixtures_agree_with_another_integrator(noise: tuple[float, int]) -> None:
    denoiser = mixture(3, 4, noise)
    problem = with_exact_trace(problem_of(denoiser, images_of(denoiser, 3), tolerance_nats=1e-6))
    density = density_of(denoiser, problem, Rk45Solver(dtype=torch.float64))
    for row in range(3):
        assert float(log_p0(density)[row]) == pytest.approx(
            integrated(denoiser, problem, row), abs=1e-6
        )


def test_a_full_covariance_agrees_with_another_integrator() -> None:
    factor = torch.randn(3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    covariance = 0.1 * factor @ factor.T + 0.02 * torch.eye(3)
    denoiser = Gaussian(config_of(3), torch.tensor([0.3, -0.2, 0.1]), covariance, schedule_seed=3)
    tokens = torch.tensor([[90, 130, 200], [140, 128, 100]], dtype=torch.uint8).view(2, 1, 1, 3)
    problem = with_exact_trace(problem_of(denoiser, tokens, tolerance_nats=1e-6))
    density = density_of(denoiser, problem, Rk45Solver(dtype=torch.float64))
    for row in range(2):
        assert float(log_p0(density)[row]) == pytest.approx(
            integrated(denoiser, problem, row), abs=1e-6
        )


def test_probes_average_to_the_trace() -> None:
    """The mean over all 2^D sign vectors is exact, and no single one is."""
    dimensions = 3
    denoiser = mixture(dimensions, 4)
    problem = problem_of(denoiser, images_of(denoiser, 4), tolerance_nats=1e-4)
    exact = density_of(denoiser, with_exact_trace(problem), RK45)
    bits = torch.arange(2**dimensions)[:, None] >> torch.arange(dimensions) & 1
    signs = (2 * bits - 1).float().view(1, -1, *denoiser.config.chw).expand(4, -1, -1, -1, -1)
    every = problem._replace(columns=problem.columns._replace(probes=signs))
    density = density_of(denoiser, every, RK45)
    assert torch.allclose(log_p0(density), log_p0(exact), rtol=0, atol=3e-4)
    assert density.log_det.std(1).min() > 1e-3


@pytest.mark.parametrize("tolerance", [0.5, 0.05, 0.005])
def test_the_tolerance_is_honoured(tolerance: float) -> None:
    within: list[bool] = []
    for denoiser, tokens, precise in mixtures_with_densities():
        density = density_of(denoiser, problem_of(denoiser, tokens, tolerance_nats=tolerance), RK45)
        assert density.error.max() <= tolerance
        within += ((log_p0(density) - precise).abs() <= tolerance).tolist()
    assert np.mean(within) >= 0.95


def test_a_tighter_tolerance_costs_more_and_errs_less() -> None:
    denoiser = mixture(16, 4)
    tokens = images_of(denoiser, 8)
    found = [
        density_of(denoiser, problem_of(denoiser, tokens, tolerance_nats=tolerance), RK45)
        for tolerance in (1.0, 0.01, 0.0001)
    ]
    costs = [float(density.nfe.double().mean()) for density in found]
    assert costs == sorted(costs)
    assert costs[0] < costs[-1]
    # One evaluation begins the first step, six complete each.
    assert all((density.nfe % 6 == 1).all() for density in found)
    errors = [float((log_p0(density) - log_p0(found[-1])).abs().mean()) for density in found]
    assert errors[0] > errors[1]


def test_a_row_gives_up_at_its_own_limit() -> None:
    denoiser = mixture(4, 2)
    problem = problem_of(denoiser, images_of(denoiser, 3))
    limits = torch.tensor([8, 2000, 20])
    problem = problem._replace(columns=problem.columns._replace(max_evaluations=limits))
    density = density_of(denoiser, problem, RK45)
    given_up = RowStatus.TOO_MANY_EVALUATIONS
    assert density.status.tolist() == [given_up, RowStatus.DONE, given_up]
    assert density.nfe[[0, 2]].tolist() == [8, 20]


def test_a_step_that_never_succeeds_ends_in_a_status() -> None:
    good = mixture(4, 2)
    denoiser = Erratic(good.config, good.weights, good.means, good.variances)
    problem = problem_of(denoiser, images_of(good, 2), tolerance_nats=0.01, max_evaluations=20_000)
    density = density_of(denoiser, problem, RK45)
    assert density.status.tolist() == [RowStatus.STEP_TOO_SMALL] * 2


def test_the_table_meets_its_order_conditions() -> None:
    nodes, weights, error = (np.array(part) for part in (table.NODES, table.WEIGHTS, table.ERROR))
    assert len(nodes) == table.STAGES
    np.testing.assert_allclose(weights.sum(1), nodes, atol=1e-15)
    for power in range(table.ORDER):
        assert weights[-1] @ nodes**power == pytest.approx(1 / (power + 1), abs=1e-15)
    for power in range(table.ORDER - 1):
        assert error @ nodes**power == pytest.approx(0, abs=1e-16)
    assert abs(error @ nodes ** (table.ORDER - 1)) > 1e-4
    # The classic third-order tree conditions, and one of order five.
    inner = weights @ nodes
    assert weights[-1] @ inner == pytest.approx(1 / 6, abs=1e-15)
    assert weights[-1] @ (weights @ inner) == pytest.approx(1 / 24, abs=1e-15)
    assert weights[-1] @ inner**2 == pytest.approx(1 / 20, abs=1e-15)
