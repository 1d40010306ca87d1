"""The shape of every sampler that takes one evaluation a step, at the step's noisier end."""

from abc import abstractmethod
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from models.network.schedule import NoiseLevel
from models.rows.noise import Stream, normal
from models.rows.rows import Answer, Moment, Query
from models.schema.walks import StepwiseSpec
from models.solvers.base import Problem
from models.solvers.counted import Drawing
from models.solvers.grid import Points


class Standing(Protocol):
    """A state that holds x_t `[rows, C, H, W]`, the number of evaluations told, which is that of
    steps taken, and the moment `here` at which x_t stands."""

    @property
    def x(self) -> Tensor: ...

    @property
    def nfe(self) -> Tensor: ...

    @property
    def here(self) -> Moment: ...


ColumnsT = TypeVar("ColumnsT")
StateT = TypeVar("StateT", bound=Standing)


class State(NamedTuple):
    """The least that a walk carries; see `Standing`."""

    x: Tensor
    nfe: Tensor
    here: Moment


class Stepwise(Drawing[ColumnsT, StateT]):
    """A walk over `Points`; a method says where they stand in its columns, where the walk begins
    and what one step does."""

    @abstractmethod
    def points(self, columns: ColumnsT) -> Points:
        """Return the grid of each row."""

    @abstractmethod
    def begin(self, x: Tensor, nfe: Tensor, here: Moment) -> StateT:
        """Return the state at t = 1, from pure noise `x`, a count of zero and the moment."""

    @abstractmethod
    def step(self, problem: Problem[ColumnsT], state: StateT, eps: Tensor, there: Moment) -> StateT:
        """Return the state after a step to the cleaner `there`, `eps` predicted at x_t."""

    def evaluations(self, columns: ColumnsT) -> Tensor:
        return self.points(columns).steps

    def init(self, problem: Problem[ColumnsT]) -> StateT:
        points = self.points(problem.columns)
        none = torch.zeros_like(points.steps)
        return self.begin(pure_noise(problem), none, points.moment(problem.condition, none))

    def ask(self, problem: Problem[ColumnsT], state: StateT) -> Query:
        return Query(state.x, state.here.t, noise=state.here.noise)

    def move(self, problem: Problem[ColumnsT], state: StateT, answer: Answer) -> StateT:
        there = self.points(problem.columns).moment(problem.condition, state.nfe + 1)
        return self.step(problem, state, answer.eps, there)


class Plain(Stepwise[Points, StateT]):
    """A walk whose columns are its grid and nothing else."""

    def points(self, columns: Points) -> Points:
        return columns

    def columns(self, spec: StepwiseSpec, rows: int, device: torch.device) -> Points:
        return Points.of(spec, rows, device)


class OneStep(Plain[State]):
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

    def begin(self, x: Tensor, nfe: Tensor, here: Moment) -> State:
        return State(x, nfe, here)

    def step(self, problem: Problem[Points], state: State, eps: Tensor, there: Moment) -> State:
        x = self.onward(problem, state, eps, state.here.noise, there.noise)
        return State(x, state.nfe + 1, there)


def pure_noise(problem: Problem[ColumnsT]) -> Tensor:
    """x at t = 1: standard normals `[rows, C, H, W]`."""
    shape = tuple(problem.condition.schedule.a.shape[1:])
    return normal(problem.key, Stream.START, 0, shape)
