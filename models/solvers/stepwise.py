"""What samplers have in common that take one evaluation a step, at the step's noisier end."""

from abc import ABC, abstractmethod
from typing import Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from models.network.schedule import NoiseLevel
from models.rows.noise import Stream, normal
from models.rows.rows import Answer, Query, where
from models.schema.specs import Ddim, Ddpm, Dpm2m, Dpm2mSde
from models.solvers.base import Problem, Sample, finished
from models.solvers.grid import Points

StepwiseSpec = Ddpm | Ddim | Dpm2m | Dpm2mSde


class Stepping(Protocol):
    """A state with x_t and the number of steps taken."""

    @property
    def x(self) -> Tensor: ...

    @property
    def step(self) -> Tensor: ...


class State(NamedTuple):
    """x_t and the number of steps taken."""

    x: Tensor
    step: Tensor


StateT = TypeVar("StateT", bound=Stepping)


class Stepwise(ABC, Generic[StateT]):
    """A walk over `Points`; a method says where it begins and what one step does."""

    @abstractmethod
    def begin(self, x: Tensor, step: Tensor) -> StateT:
        """The state at t = 1."""

    @abstractmethod
    def move(
        self,
        problem: Problem[Points],
        state: StateT,
        eps: Tensor,
        here: NoiseLevel,
        there: NoiseLevel,
    ) -> StateT:
        """The state after a step from `here` to the cleaner `there`, `eps` predicted at x_t."""

    def evaluations(self, spec: StepwiseSpec) -> int:
        return spec.evaluations

    def columns(self, spec: StepwiseSpec, rows: int, device: torch.device) -> Points:
        return Points.of(spec, rows, device)

    def init(self, problem: Problem[Points]) -> StateT:
        x = normal(problem.key, Stream.START, 0, tuple(problem.condition.schedule.a.shape[1:]))
        return self.begin(x, torch.zeros_like(problem.columns.steps))

    def ask(self, problem: Problem[Points], state: StateT) -> Query:
        return Query(state.x, problem.columns.time(problem.condition, state.step))

    def tell(self, problem: Problem[Points], state: StateT, answer: Answer) -> StateT:
        condition, points = problem.condition, problem.columns
        here, there = (
            condition.schedule.noise(points.time(condition, step))
            for step in (state.step, state.step + 1)
        )
        moved = self.move(problem, state, answer.eps, here, there)
        return where(state.step < points.steps, moved, state)

    def status(self, problem: Problem[Points], state: StateT) -> Tensor:
        return finished(state.step >= problem.columns.steps, state.x)

    def progress(self, problem: Problem[Points], state: StateT) -> Tensor:
        return state.step / problem.columns.steps

    def sample(self, problem: Problem[Points], state: StateT) -> Sample:
        nothing = torch.full_like(state.step, torch.nan, dtype=torch.float64)
        return Sample(state.x, state.step, nothing)
