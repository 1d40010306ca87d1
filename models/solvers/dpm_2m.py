"""Multistep rules: the ODE's and the ancestral step, the data carried along (Lu et al., 2022)."""

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from models.network.schedule import NoiseLevel
from models.rows.noise import Stream, normal
from models.solvers.base import Problem
from models.solvers.ddim import ode_step
from models.solvers.ddpm import ancestral_step
from models.solvers.grid import Points
from models.solvers.multistep import carried, implied_eps, predicted_data
from models.solvers.stepwise import Stepwise


class State(NamedTuple):
    """x_t, the number of steps taken, and the data predicted one step before."""

    x: Tensor
    step: Tensor
    previous: Tensor


class _Multistep(Stepwise[State]):
    def begin(self, x: Tensor, step: Tensor) -> State:
        return State(x, step, torch.zeros_like(x))

    def move(
        self,
        problem: Problem[Points],
        state: State,
        eps: Tensor,
        here: NoiseLevel,
        there: NoiseLevel,
    ) -> State:
        points, condition = problem.columns, problem.condition
        before = condition.schedule.gamma(points.time(condition, (state.step - 1).clamp(min=0)))
        data = predicted_data(state.x, eps, here)
        eps = implied_eps(state.x, carried(data, state.previous, before, here, there), here)
        x = self.step(problem, state, eps, here, there)
        return State(x, state.step + 1, data.to(state.x.dtype))

    @abstractmethod
    def step(
        self,
        problem: Problem[Points],
        state: State,
        eps: Tensor,
        here: NoiseLevel,
        there: NoiseLevel,
    ) -> Tensor:
        """x at `there`, by the prediction carried along."""


class Dpm2mSolver(_Multistep):
    """DPM-Solver++(2M), in every dimension by its own gamma: of second order in its fall."""

    name = "dpm-2m"

    def step(
        self,
        problem: Problem[Points],
        state: State,
        eps: Tensor,
        here: NoiseLevel,
        there: NoiseLevel,
    ) -> Tensor:
        return ode_step(state.x, eps, here, there)


class Dpm2mSdeSolver(_Multistep):
    """Its stochastic sibling SDE-DPM-Solver++(2M): DDPM's draw about the carried data."""

    name = "dpm-2m-sde"

    def step(
        self,
        problem: Problem[Points],
        state: State,
        eps: Tensor,
        here: NoiseLevel,
        there: NoiseLevel,
    ) -> Tensor:
        draw = normal(problem.key, Stream.STEP, state.step, tuple(state.x.shape[1:]))
        return ancestral_step(state.x, eps, here, there, draw)
