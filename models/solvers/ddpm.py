"""Ancestral sampling with a vector schedule (Ho et al., 2020; MuLAN, appendix on sampling)."""

import torch
from torch import Tensor

from models.network.schedule import NoiseLevel
from models.rows.noise import Stream, normal
from models.solvers.base import Problem
from models.solvers.grid import Points
from models.solvers.stepwise import OneStep, State


class DdpmSolver(OneStep):
    """x_r = (a_r / a_t)(x_t - s_t C eps) + sqrt(s_r^2 C) xi, r < t, C = -expm1(g_r - g_t), in every
    dimension. a, s and g stand for alpha, sigma and gamma."""

    name = "ddpm"

    def onward(
        self,
        problem: Problem[Points],
        state: State,
        eps: Tensor,
        here: NoiseLevel,
        there: NoiseLevel,
    ) -> Tensor:
        draw = normal(problem.key, Stream.STEP, state.nfe, tuple(state.x.shape[1:]))
        return ancestral_step(state.x, eps, here, there, draw)


def ancestral_step(
    x: Tensor, eps: Tensor, here: NoiseLevel, there: NoiseLevel, draw: Tensor
) -> Tensor:
    """Return one ancestral draw of x at `there` from x at `here` `[rows, C, H, W]`, by standard
    normals `draw`. At no distance it is x itself."""
    c = -torch.expm1((there.gamma - here.gamma).clamp(max=0))
    mean = there.alpha / here.alpha * (x - here.sigma * c * eps)
    return (mean + there.sigma * c.sqrt() * draw).to(x.dtype)
