"""The probability-flow solver against closed forms, another integrator and its own promises."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from models.analytic import Gaussian, Mixture
from models.config import ModelConfig
from models.likelihood import score_problem
from models.rows import Answer, Condition, Query, take
from models.solve import solve
from models.solvers import dormand_prince as table
from models.solvers.base import Problem, Status
from models.solvers.rk45 import LogDensity, Rk45Solver
from models.specs import Rk45

OFFICIAL = (-13.3, 256)
SMALL = (-7.9, 17)


def config_of(dimensions: int, noise: tuple[float, int] = OFFICIAL) -> ModelConfig:
    gamma_min, vocabulary = noise
    return ModelConfig(
        image_shape=(1, dimensions, 1),
        vocabulary=vocabulary,
        latent_size=4,
        latent_k=1,
        gamma_min=gamma_min,
    )


def mixture(
    dimensions: int, components: int, noise: tuple[float, int] = OFFICIAL, seed: int = 0
) -> Mixture:
    dice = torch.Generator().manual_seed(100 * dimensions + 10 * components + seed)
    return Mixture(
        config_of(dimensions, noise),
        0.2 + torch.rand(components, generator=dice),
        0.4 * torch.randn(components, dimensions, generator=dice),
        0.02 + 0.3 * torch.rand(components, dimensions, generator=dice),
        schedule_seed=seed,
    )


def images_of(denoiser: Mixture, count: int) -> Tensor:
    """Tokens of draws from the denoiser's data."""
    dice = torch.Generator().manual_seed(1)
    component = torch.multinomial(denoiser.weights, count, replacement=True, generator=dice)
    spread = torch.randn(count, denoiser.config.dimensions, generator=dice)
    x = denoiser.means[component] + denoiser.variances[component].sqrt() * spread
    vocabulary = denoiser.config.vocabulary
    tokens = (vocabulary * (x + 1) / 2).floor().clamp(0, vocabulary - 1)
    return tokens.to(torch.uint8).view(count, *denoiser.config.chw)


def problem_of(denoiser: Any, tokens: Tensor, **spec: Any) -> Problem[Any]:
    return score_problem(denoiser, tokens, Rk45(**spec), seed=0, draws=1)


def with_exact_trace(problem: Problem[Any]) -> Problem[Any]:
    """D probes sqrt(D) e_i in the place of random ones: their mean is the trace itself."""
    rows, *shape = problem.columns.image.shape
    size = math.prod(shape)
    probes = math.sqrt(size) * torch.eye(size).view(1, size, *shape).expand(rows, -1, -1, -1, -1)
    return problem._replace(columns=problem.columns._replace(probes=probes))


def density_of(
    denoiser: Any, problem: Problem[Any], solver: Rk45Solver | None = None
) -> LogDensity:
    solver = solver or Rk45Solver()
    return solver.density(problem, solve(solver, problem, denoiser))


def log_p0(density: LogDensity) -> Tensor:
    """log p_0(x at t = 0 | z), `[rows]`."""
    return density.prior + density.log_det.mean(1)


def pulled_back(denoiser: Mixture, image: Tensor) -> Tensor:
    """log p_0 of a diagonal Gaussian's flow: x_1 = a_1 m + r (x_0 - a_0 m), the ratio r of the
    standard deviations at the two ends."""
    mean, variance, config = denoiser.means[0], denoiser.variances[0], denoiser.config
    scales = [
        (1 / (1 + math.exp(gamma)), 1 / (1 + math.exp(-gamma)))
        for gamma in (config.gamma_min, config.gamma_max)
    ]
    (signal0, noise0), (signal1, noise1) = scales
    ratio = torch.sqrt((signal1 * variance + noise1) / (signal0 * variance + noise0))
    centred = math.sqrt(signal0) * (image.flatten(1) - mean)
    x1 = math.sqrt(signal1) * mean + ratio * centred
    return (ratio.log() - 0.5 * x1.square() - 0.5 * math.log(2 * math.pi)).sum(1)


def integrated(denoiser: Any, problem: Problem[Any], row: int) -> float:
    """log p_0 of one row by another integrator: in t, of the plain drift and its full Jacobian."""
    one = take(problem, torch.tensor([row]))
    schedule, shape = one.condition.schedule, one.columns.image.shape

    def drift(x: Tensor, t: Tensor) -> Tensor:
        noise = schedule.noise(t)
        flat = [leaf.flatten(1) for leaf in (noise.alpha, noise.sigma)]
        (score,) = torch.autograd.grad(
            denoiser.log_density(x[None], *flat).sum(), x, create_graph=True
        )
        sigma = noise.sigma.flatten()
        rate = schedule.dgamma_dt(t).flatten()
        return 0.5 * rate * sigma * (-sigma * score - sigma * x)

    def slope(time: float, y: np.ndarray) -> np.ndarray:
        t = torch.tensor([time], dtype=torch.float64)
        x = torch.from_numpy(y[:-1].copy()).requires_grad_()
        jacobian = torch.autograd.functional.jacobian(lambda at: drift(at, t), x)
        return np.append(drift(x, t).detach().numpy(), float(jacobian.trace()))

    start = one.condition.schedule.noise(torch.zeros(1, dtype=torch.float64)).alpha
    y0 = np.append((start * one.columns.image).flatten().numpy(), 0.0)
    assert shape[0] == 1
    end = solve_ivp(slope, (0, 1), y0, method="DOP853", rtol=1e-10, atol=1e-10).y[:, -1]
    x1 = end[:-1]
    return float(end[-1] - 0.5 * (x1 @ x1) - 0.5 * len(x1) * math.log(2 * math.pi))


@pytest.mark.parametrize("noise", [OFFICIAL, SMALL])
@pytest.mark.parametrize("dimensions", [2, 8, 64, 256])
def test_a_diagonal_gaussian_has_its_pulled_back_density(
    dimensions: int, noise: tuple[float, int]
) -> None:
    for seed in range(3):
        denoiser = mixture(dimensions, 1, noise, seed)
        problem = problem_of(denoiser, images_of(denoiser, 8), tolerance_nats=1e-4 * dimensions)
        density = density_of(denoiser, problem)
        assert density.status.tolist() == [Status.DONE] * 8
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
    """Over all 2^D sign vectors the mean is exact, and no single one is."""
    dimensions = 3
    denoiser = mixture(dimensions, 4)
    problem = problem_of(denoiser, images_of(denoiser, 4), tolerance_nats=1e-4)
    exact = density_of(denoiser, with_exact_trace(problem))
    bits = torch.arange(2**dimensions)[:, None] >> torch.arange(dimensions) & 1
    signs = (2 * bits - 1).float().view(1, -1, *denoiser.config.chw).expand(4, -1, -1, -1, -1)
    every = problem._replace(columns=problem.columns._replace(probes=signs))
    density = density_of(denoiser, every)
    assert torch.allclose(log_p0(density), log_p0(exact), rtol=0, atol=3e-4)
    assert density.log_det.std(1).min() > 1e-3


def test_the_order_is_five() -> None:
    denoiser = mixture(4, 2, SMALL)
    problem = problem_of(denoiser, images_of(denoiser, 6))

    def log_density(steps: int) -> Tensor:
        return log_p0(density_of(denoiser, problem, Rk45Solver(steps, torch.float64)))

    exact = log_density(240)
    coarse, fine = (float((log_density(steps) - exact).norm()) for steps in (50, 100))
    assert 4.6 < math.log2(coarse / fine) < 5.4


@pytest.mark.parametrize("tolerance", [0.5, 0.05, 0.005])
def test_the_tolerance_is_honoured(tolerance: float) -> None:
    within: list[bool] = []
    for noise in (OFFICIAL, SMALL):
        for dimensions in (2, 8, 64):
            for components in (1, 5):
                denoiser = mixture(dimensions, components, noise)
                tokens = images_of(denoiser, 8)
                problem = problem_of(denoiser, tokens, tolerance_nats=tolerance)
                reference = density_of(denoiser, problem, Rk45Solver(60, torch.float64))
                density = density_of(denoiser, problem)
                assert density.error.max() <= tolerance
                within += ((log_p0(density) - log_p0(reference)).abs() <= tolerance).tolist()
    assert np.mean(within) >= 0.95


def test_a_tighter_tolerance_costs_more_and_errs_less() -> None:
    denoiser = mixture(16, 4)
    tokens = images_of(denoiser, 8)
    found = [
        density_of(denoiser, problem_of(denoiser, tokens, tolerance_nats=tolerance))
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
    density = density_of(denoiser, problem)
    given_up = Status.TOO_MANY_EVALUATIONS
    assert density.status.tolist() == [given_up, Status.DONE, given_up]
    assert density.nfe[[0, 2]].tolist() == [8, 20]


class Erratic(Mixture):
    """Answers that jump with every question: no step is short enough."""

    calls = 0

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        answer = super().evaluate(query, condition)
        self.calls += 1
        return answer._replace(eps=answer.eps + (-1) ** (self.calls // 2))


def test_a_step_that_never_succeeds_ends_in_a_status() -> None:
    good = mixture(4, 2)
    denoiser = Erratic(good.config, good.weights, good.means, good.variances)
    problem = problem_of(denoiser, images_of(good, 2), tolerance_nats=0.01, max_evaluations=20_000)
    density = density_of(denoiser, problem)
    assert density.status.tolist() == [Status.STEP_TOO_SMALL] * 2


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
