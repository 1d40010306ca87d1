"""The interface of solvers: pure functions over rows that ask for evaluations and are told them."""

from enum import IntEnum
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from models.rows.rows import Answer, Condition, NoiseKey, Query

Columns = TypeVar("Columns")
SpecT = TypeVar("SpecT", contravariant=True)
StateT = TypeVar("StateT")


class RowStatus(IntEnum):
    """The state of a row; everything from NOT_FINITE on is a failure and its reason."""

    RUNNING = 0
    DONE = 1
    NOT_FINITE = 2
    TOO_MANY_EVALUATIONS = 3
    STEP_TOO_SMALL = 4

    @property
    def reason(self) -> str:
        """The words in which a client reads of a row that ended so."""
        return REASONS.get(self, "the solver did not end")


REASONS = {
    RowStatus.NOT_FINITE: "the solution stopped being finite",
    RowStatus.TOO_MANY_EVALUATIONS: "the limit on evaluations was reached",
    RowStatus.STEP_TOO_SMALL: "the step size became too small",
}


class Problem(NamedTuple, Generic[Columns]):
    """The part of a row that never changes while it is solved.

    `columns` holds the spec, one tensor a parameter and one value a row, and whatever else the
    solver fixes at the start; so rows of different settings share a lane.
    """

    key: NoiseKey
    condition: Condition
    columns: Columns


class Solver(Protocol[Columns, StateT]):
    """One method. No function changes its arguments; a row's result depends on that row alone.

    A row that is postponed is simply not told. Rows may be taken, concatenated, permuted and
    padded between any two calls.
    """

    name: str

    def init(self, problem: Problem[Columns]) -> StateT:
        """Return the state before the first question."""
        ...

    def ask(self, problem: Problem[Columns], state: StateT) -> Query:
        """Return the next question of every row."""
        ...

    def tell(self, problem: Problem[Columns], state: StateT, answer: Answer) -> StateT:
        """Return the state after the answer; a finished row may be told anything and stays
        finished."""
        ...

    def status(self, problem: Problem[Columns], state: StateT) -> Tensor:
        """Return a `RowStatus` for each row, `[rows]` int8."""
        ...

    def progress(self, problem: Problem[Columns], state: StateT) -> Tensor:
        """Return the share of the way that each row has gone, `[rows]` in [0, 1]."""
        ...


class Sampler(Solver[Columns, StateT], Protocol[SpecT, Columns, StateT]):
    """A solver that turns noise into images in a number of evaluations known beforehand."""

    def columns(self, spec: SpecT, rows: int, device: torch.device) -> Columns:
        """Return the spec as columns for `rows` rows."""
        ...

    def sample(self, problem: Problem[Columns], state: StateT) -> "Sample":
        """Return the images of the rows; of rows that still run, how they look so far."""
        ...


# The registry holds solvers of many kinds of columns and states, which only each solver knows.
AnySolver = Solver[Any, Any]
AnySampler = Sampler[Any, Any, Any]


class Sample(NamedTuple):
    """x at t = 0 `[rows, C, H, W]`, evaluations `[rows]`, and the share of proposals accepted
    `[rows]`, NaN for a method that has none."""

    x: Tensor
    nfe: Tensor
    acceptance_rate: Tensor


def column(value: float, rows: int, device: torch.device) -> Tensor:
    """Return a float64 column of one value, `[rows]`."""
    return torch.full((rows,), value, dtype=torch.float64, device=device)


def count_column(value: int, rows: int, device: torch.device) -> Tensor:
    """Return an int64 column of one value, `[rows]`."""
    return torch.full((rows,), value, dtype=torch.int64, device=device)


def flag_column(value: bool, rows: int, device: torch.device) -> Tensor:
    """Return a boolean column of one value, `[rows]`."""
    return torch.full((rows,), value, device=device)
