"""Exact moments of what a solver draws, where its score is linear.

Every call of a solver is then an affine map of its state and its noise. A batch in which each row
carries one unit impulse reads the map off; mean and covariance are pushed through it in float64.
No random number is drawn, so orders of convergence can be tested without Monte-Carlo error.
"""

import sys
from typing import Any, NamedTuple

import optree
import pytest
import torch
from torch import Tensor

from models.evaluation.analytic import Gaussian
from models.rows.noise import Stream
from models.rows.rows import NoiseKey
from models.solvers.base import AnySampler, Problem, RowStatus

SLOTS = {Stream.START: 0, Stream.STEP: 1, Stream.PROPOSAL: 2}
NOISES = 5


class Moments(NamedTuple):
    mean: Tensor
    covariance: Tensor


class Impulses:
    """Stands in for `normal`: the rows from `first` on see one unit impulse each.

    The start's noise is mapped to mean + factor xi, so that a walk may leave from any Gaussian.
    """

    def __init__(self, dimensions: int, start: Moments) -> None:
        self.dimensions = dimensions
        self.first = 1
        values, vectors = torch.linalg.eigh(start.covariance)
        self.start_mean, self.start_factor = start.mean, vectors * values.clamp(min=0).sqrt()

    def normal(
        self, key: NoiseKey, stream: Stream, draw: Tensor | int, shape: tuple[int, ...]
    ) -> Tensor:
        size = torch.Size(shape).numel()
        offset = self.first + SLOTS[stream] * self.dimensions
        noise = torch.zeros(len(key.seed), size, dtype=torch.float64)
        noise[offset : offset + size] = torch.eye(size, dtype=torch.float64)
        if stream == Stream.START:
            noise = self.start_mean + noise @ self.start_factor.T
        return noise.float().reshape(-1, *shape)


def marginal(denoiser: Gaussian, problem: Problem[Any], t: float) -> Moments:
    """Mean and covariance of x at time `t` under the schedule of the problem's first row."""
    noise = problem.condition.schedule.noise(
        torch.full_like(problem.condition.schedule.gamma_min, t)
    )
    alpha, sigma = noise.alpha[0].flatten(), noise.sigma[0].flatten()
    covariance = alpha[:, None] * denoiser.covariance * alpha + torch.diag(sigma.square())
    return Moments(alpha * denoiser.mean, covariance)


def sampled_moments(
    solver: AnySampler,
    denoiser: Gaussian,
    problem: Problem[Any],
    start: Moments,
    monkeypatch: pytest.MonkeyPatch,
) -> Moments:
    """Moments of the sample from x at t = 1 of moments `start`; `problem` has equal rows, at
    least 1 + state + noise of them."""
    dimensions = len(denoiser.mean)
    impulses = Impulses(dimensions, start)
    for name, module in list(sys.modules.items()):
        if name.startswith("models.solvers") and hasattr(module, "normal"):
            monkeypatch.setattr(module, "normal", impulses.normal)

    def vector(state: Any) -> Tensor:
        leaves = [leaf for leaf in optree.tree_leaves(state) if leaf.ndim == 4]
        return torch.cat([leaf.flatten(1) for leaf in leaves], dim=1).double()

    def units(state: Any) -> Any:
        basis = torch.zeros_like(vector(state))
        basis[1 : 1 + basis.shape[1]] = torch.eye(basis.shape[1])
        columns = iter(basis.float().split(dimensions, dim=1))
        return optree.tree_map(
            lambda leaf: next(columns).reshape(leaf.shape) if leaf.ndim == 4 else leaf, state
        )

    state = solver.init(problem)
    out = vector(state)
    size = out.shape[1]
    assert len(out) >= 1 + size + NOISES * dimensions
    mean, kick = out[0], out[1 : 1 + NOISES * dimensions] - out[0]
    covariance = kick.T @ kick
    impulses.first = 1 + size
    state = units(state)
    while (solver.status(problem, state) == RowStatus.RUNNING).all():
        answer = denoiser.evaluate(solver.ask(problem, state), problem.condition)
        state = solver.tell(problem, state, answer)
        out = vector(state)
        linear, kick = out[1 : 1 + size] - out[0], out[1 + size :] - out[0]
        mean = out[0] + mean @ linear
        covariance = linear.T @ covariance @ linear + kick.T @ kick
        state = units(state)
    read = solver.sample(problem, state).x.flatten(1).double()[: 1 + size]
    linear = read[1:] - read[0]
    return Moments(read[0] + mean @ linear, linear.T @ covariance @ linear)
