"""The probability-flow ODE by a multistep rule: DPM-Solver++(2M) (Lu et al., 2022, algorithm 2)."""

from typing import NamedTuple

import torch
from torch import Tensor

from models.rows import where
from models.schedule import Noise
from models.solvers.base import Problem
from models.solvers.grid import Points
from models.solvers.stepwise import Stepwise


class State(NamedTuple):
    """x_t, the number of steps taken, and the data predicted one step before."""

    x: Tensor
    step: Tensor
    previous: Tensor


class Dpm2mSolver(Stepwise[State]):
    """x_r = (s_r / s_t) x_t - a_r expm1(-h) D, h the fall of gamma / 2 in each dimension; D is the
    predicted data (x_t - s_t eps) / a_t, carried on along the line through it and the one before.

    The first step is of first order, and so is one whose fall before is nothing.
    """

    name = "dpm-2m"

    def begin(self, x: Tensor, step: Tensor) -> State:
        return State(x, step, torch.zeros_like(x))

    def move(
        self, problem: Problem[Points], state: State, eps: Tensor, here: Noise, there: Noise
    ) -> State:
        points, condition = problem.columns, problem.condition
        before = condition.schedule.gamma(points.time(condition, (state.step - 1).clamp(min=0)))
        h, past = (here.gamma - there.gamma) / 2, (before - here.gamma) / 2
        data = (state.x - here.sigma * eps) / here.alpha
        reach = torch.where(past > 0, h / (2 * past.clamp(min=1e-12)), 0.0)
        carried = data + reach * (data - state.previous)
        carried = where(state.step > 0, carried, data)
        x = there.sigma / here.sigma * state.x - there.alpha * torch.expm1(-h) * carried
        return State(x.to(state.x.dtype), state.step + 1, data.to(state.x.dtype))
