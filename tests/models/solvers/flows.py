"""Densities known in closed form, or to another integrator, for solvers of the flow."""

import functools
import itertools
import math
from typing import Any

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from models.evaluation.analytic import Mixture
from models.network.schedule import per_row
from models.rows.rows import Answer, Condition, Query, take
from models.schema.config import ModelConfig
from models.schema.specs import Adams
from models.solvers.adams import AdamsSolver
from models.solvers.base import Problem
from models.solvers.flow import LogDensity
from models.solvers.rk45 import Rk45Solver
from models.work.likelihood import score_problem
from models.work.solve import solve

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
    return score_problem(denoiser, tokens, Adams(**spec), seed=0, draws=1)


def with_exact_trace(problem: Problem[Any]) -> Problem[Any]:
    """D probes sqrt(D) e_i in the place of random ones: their mean is the trace itself."""
    rows, *shape = problem.columns.image.shape
    size = math.prod(shape)
    probes = math.sqrt(size) * torch.eye(size).view(1, size, *shape).expand(rows, -1, -1, -1, -1)
    return problem._replace(columns=problem.columns._replace(probes=probes))


def density_of(
    denoiser: Any, problem: Problem[Any], solver: AdamsSolver | Rk45Solver
) -> LogDensity:
    return solver.density(problem, solve(solver, problem, denoiser))


def log_p0(density: LogDensity) -> Tensor:
    """log p_0(x at t = 0 | z), `[rows]`."""
    return density.prior + density.log_det.mean(1)


@functools.cache
def mixtures_with_densities() -> list[tuple[Mixture, Tensor, Tensor]]:
    """Mixtures, images of them, and the images' log-densities by the usual probes in many steps."""
    found = []
    for noise, dimensions, components in itertools.product((OFFICIAL, SMALL), (2, 8, 64), (1, 5)):
        denoiser = mixture(dimensions, components, noise)
        tokens = images_of(denoiser, 8)
        problem = problem_of(denoiser, tokens, probing="fixed")
        precise = density_of(denoiser, problem, Rk45Solver(60, torch.float64))
        found.append((denoiser, tokens, log_p0(precise)))
    return found


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


class Broken(Mixture):
    """Answers that are off by a constant from the middle of the way on: one step errs too much."""

    jump = 1.0

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        answer = super().evaluate(query, condition)
        late = (query.t > 0.5).to(answer.eps.dtype)
        return answer._replace(eps=answer.eps + self.jump * per_row(late))


class Erratic(Mixture):
    """Answers that jump with every other question: no step is short enough."""

    calls = 0
    jump = 1.0

    def evaluate(self, query: Query, condition: Condition) -> Answer:
        answer = super().evaluate(query, condition)
        self.calls += 1
        return answer._replace(eps=answer.eps + self.jump * (-1) ** (self.calls // 2))
