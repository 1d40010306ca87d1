"""Two-step multistep rules for the ODE and for the ancestral step (Lu et al., 2022)."""

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from models.network.schedule import NoiseLevel
from models.rows.noise import Stream, normal
from models.rows.rows import Moment
from models.solvers.base import Problem
from models.solvers.ddim import ode_step
from models.solvers.ddpm import ancestral_step
from models.solvers.grid import Points
from models.solvers.multistep import carried, implied_eps, predicted_data
from models.solvers.stepwise import Stepwise


class State(NamedTuple):
    """A walk, as `stepwise.Standing` has it, with the data predicted one step before and gamma
    there, both `[rows, C, H, W]`."""

    x: Tensor
    nfe: Tensor
    here: Moment
    previous: Tensor
    before: Tensor


class _Multistep(Stepwise[State]):
    """A step by the data carried half-way along the line through the last two predictions."""

    def begin(self, x: Tensor, nfe: Tensor, here: Moment) -> State:
        return State(x, nfe, here, torch.zeros_like(x), here.noise.gamma)

    def step(self, problem: Problem[Points], state: State, eps: Tensor, there: Moment) -> State:
        here = state.here.noise
        data = predicted_data(state.x, eps, here)
        onward = carried(data, state.previous, state.before, here, there.noise)
        eps = implied_eps(state.x, onward, here)
        x = self.onward(problem, state, eps, here, there.noise)
        return State(x, state.nfe + 1, there, data.to(state.x.dtype), here.gamma)

    @abstractmethod
    def onward(
        self,
        problem: Problem[Points],
        state: State,
        eps: Tensor,
        here: NoiseLevel,
        there: NoiseLevel,
    ) -> Tensor:
        """x at `there` by the method's one-step rule, with `eps` that implies the carried data."""


class Dpm2mSolver(_Multistep):
    """DPM-Solver++(2M), in every dimension by its own gamma: of second order in its fall."""

    name = "dpm-2m"

    def onward(
        self,
        problem: Problem[Points],
        state: State,
        eps: Tensor,
        here: NoiseLevel,
        there: NoiseLevel,
    ) -> Tensor:
        return ode_step(state.x, eps, here, there)


class Dpm2mSdeSolver(_Multistep):
    """SDE-DPM-Solver++(2M): the draw of DDPM about the carried data."""

    name = "dpm-2m-sde"

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
