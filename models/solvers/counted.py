"""The shape of every method that ends after a number of evaluations known beforehand."""

from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from models.rows.rows import Answer, Query, where
from models.solvers.base import Columns, Problem, RowStatus, Sample


class Counting(Protocol):
    """A state that holds x `[rows, C, H, W]` and the evaluations told so far `[rows]`, int64."""

    @property
    def x(self) -> Tensor: ...

    @property
    def nfe(self) -> Tensor: ...


StateT = TypeVar("StateT", bound=Counting)


class Counted(ABC, Generic[Columns, StateT]):
    """A method that says how many evaluations a row takes, what it asks, and what one answer does.

    A row that has had its evaluations stays as it is, whatever it is told.
    """

    name: str

    @abstractmethod
    def evaluations(self, columns: Columns) -> Tensor:
        """Return the number of evaluations that each row takes, `[rows]` int64."""

    @abstractmethod
    def init(self, problem: Problem[Columns]) -> StateT:
        """Return the state before the first question."""

    @abstractmethod
    def ask(self, problem: Problem[Columns], state: StateT) -> Query:
        """Return the next question of every row."""

    @abstractmethod
    def move(self, problem: Problem[Columns], state: StateT, answer: Answer) -> StateT:
        """Return the state after one more answer, of rows that still run."""

    def outcome(self, state: StateT) -> Tensor:
        """Return the numbers that must be finite in a row that ends well, `[rows, ...]`."""
        return state.x

    def tell(self, problem: Problem[Columns], state: StateT, answer: Answer) -> StateT:
        running = state.nfe < self.evaluations(problem.columns)
        return where(running, self.move(problem, state, answer), state)

    def status(self, problem: Problem[Columns], state: StateT) -> Tensor:
        finite = self.outcome(state).isfinite().flatten(1).all(1)
        ended = torch.where(finite, int(RowStatus.DONE), int(RowStatus.NOT_FINITE))
        done = state.nfe >= self.evaluations(problem.columns)
        return torch.where(done, ended, int(RowStatus.RUNNING)).to(torch.int8)

    def progress(self, problem: Problem[Columns], state: StateT) -> Tensor:
        return state.nfe / self.evaluations(problem.columns)


class Drawing(Counted[Columns, StateT]):
    """A counted method that turns noise into images, and accepts or refuses no proposals."""

    def sample(self, problem: Problem[Columns], state: StateT) -> Sample:
        return Sample(
            state.x, state.nfe, torch.full_like(state.nfe, torch.nan, dtype=torch.float64)
        )
