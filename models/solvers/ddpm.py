"""Ancestral sampling with a vector schedule (Ho et al., 2020; MuLAN, appendix on sampling)."""

import torch
from torch import Tensor

from models.network.schedule import NoiseLevel
from models.rows.noise import Stream, normal
from models.solvers.base import Problem
from models.solvers.grid import Points
from models.solvers.stepwise import State, Stepwise


class DdpmSolver(Stepwise[State]):
    """x_r = (a_r / a_t)(x_t - s_t C eps) + sqrt(s_r^2 C) xi, r < t, C = -expm1(g_r - g_t)."""

    name = "ddpm"

    def begin(self, x: Tensor, step: Tensor) -> State:
        return State(x, step)

    def move(
        self,
        problem: Problem[Points],
        state: State,
        eps: Tensor,
        here: NoiseLevel,
        there: NoiseLevel,
    ) -> State:
        draw = normal(problem.key, Stream.STEP, state.step, tuple(state.x.shape[1:]))
        return State(ancestral_step(state.x, eps, here, there, draw), state.step + 1)


def ancestral_step(
    x: Tensor, eps: Tensor, here: NoiseLevel, there: NoiseLevel, draw: Tensor
) -> Tensor:
    """One ancestral draw of x at `there` from x at `here`; at no distance, x itself."""
    c = -torch.expm1((there.gamma - here.gamma).clamp(max=0))
    mean = there.alpha / here.alpha * (x - here.sigma * c * eps)
    return (mean + there.sigma * c.sqrt() * draw).to(x.dtype)
