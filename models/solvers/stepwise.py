"""The shape of every sampler that takes one evaluation a step, at the step's noisier end."""

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from models.network.schedule import NoiseLevel
from models.rows.noise import Stream, normal
from models.rows.rows import Answer, Query
from models.schema.walks import StepwiseSpec
from models.solvers.base import Problem
from models.solvers.counted import Drawing, StateT
from models.solvers.grid import Points


class State(NamedTuple):
    """x_t `[rows, C, H, W]`, and the number of evaluations told, which is that of steps taken."""

    x: Tensor
    nfe: Tensor


class Stepwise(Drawing[Points, StateT]):
    """A walk over `Points`; a method says where it begins and what one step does."""

    @abstractmethod
    def begin(self, x: Tensor, nfe: Tensor) -> StateT:
        """Return the state at t = 1, from pure noise `x` and a count of zero."""

    @abstractmethod
    def step(
        self,
        problem: Problem[Points],
        state: StateT,
        eps: Tensor,
        here: NoiseLevel,
        there: NoiseLevel,
    ) -> StateT:
        """Return the state after a step from `here` to the cleaner `there`, `eps` predicted at
        x_t."""

    def columns(self, spec: StepwiseSpec, rows: int, device: torch.device) -> Points:
        return Points.of(spec, rows, device)

    def evaluations(self, columns: Points) -> Tensor:
        return columns.steps

    def init(self, problem: Problem[Points]) -> StateT:
        return self.begin(pure_noise(problem), torch.zeros_like(problem.columns.steps))

    def ask(self, problem: Problem[Points], state: StateT) -> Query:
        return Query(state.x, problem.columns.time(problem.condition, state.nfe))

    def move(self, problem: Problem[Points], state: StateT, answer: Answer) -> StateT:
        here, there = step_ends(problem, state.nfe)
        return self.step(problem, state, answer.eps, here, there)


class OneStep(Stepwise[State]):
    """A sampler that carries nothing but x from step to step."""

    @abstractmethod
    def onward(
        self,
        problem: Problem[Points],
        state: State,
        eps: Tensor,
        here: NoiseLevel,
        there: NoiseLevel,
    ) -> Tensor:
        """x at `there` `[rows, C, H, W]` after a step from `here`, `eps` predicted at x_t."""

    def begin(self, x: Tensor, nfe: Tensor) -> State:
        return State(x, nfe)

    def step(
        self,
        problem: Problem[Points],
        state: State,
        eps: Tensor,
        here: NoiseLevel,
        there: NoiseLevel,
    ) -> State:
        return State(self.onward(problem, state, eps, here, there), state.nfe + 1)


def pure_noise(problem: Problem[Points]) -> Tensor:
    """x at t = 1: standard normals `[rows, C, H, W]`."""
    shape = tuple(problem.condition.schedule.a.shape[1:])
    return normal(problem.key, Stream.START, 0, shape)


def step_ends(problem: Problem[Points], step: Tensor) -> tuple[NoiseLevel, NoiseLevel]:
    """Return the noise at the noisier and at the cleaner end of each row's `step` `[rows]`."""
    points, condition = problem.columns, problem.condition
    here, there = (
        condition.schedule.noise(points.time(condition, end)) for end in (step, step + 1)
    )
    return here, there
