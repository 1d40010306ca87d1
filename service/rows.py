"""The engine's view of a job: rows of one solver, whatever the kind of work.

Each kind has a class `Rows(task, served)` of the form `JobRows` in the module `rows` of its folder.
"""

from typing import Any, NamedTuple, Protocol, TypeVar, cast

import numpy as np
import optree
import torch
from numpy.typing import NDArray

from models.rows.denoiser import Denoiser
from models.rows.rows import count
from models.solvers.base import Problem, Solver
from service.jobs import Result, Tokens

ColumnsT = TypeVar("ColumnsT")
StateT = TypeVar("StateT")
Tree = TypeVar("Tree")


class Served(NamedTuple):
    """A checkpoint that is ready: `execution` names device type, runtime, precision and build.

    Samples may be drawn in less precision than the rest, and then have an execution of their own.
    """

    denoiser: Denoiser
    device: torch.device
    execution: str
    sample_execution: str = ""


class JobRows(Protocol[ColumnsT, StateT]):
    """One job's rows: `rows` of them, which begin in groups of `group`.

    `evaluations` is the number of network evaluations of a row, exact unless the rows are
    `adaptive`, then a guess. Rows with equal `probes` can share a network call, and with an equal
    solver a lane too.
    """

    adaptive: bool
    rows: int
    group: int
    evaluations: int
    probes: int

    @property
    def solver(self) -> Solver[ColumnsT, StateT]:
        """The method that solves the rows."""
        ...

    def problem(self, first_row: int, last_row: int) -> Problem[ColumnsT]:
        """The problem of rows `first_row` to `last_row` - 1, which are whole groups."""
        ...

    def collect(self, rows: NDArray[np.int64], problem: Problem[ColumnsT], state: StateT) -> None:
        """Take over rows that have ended; the tensors may be padded beyond them."""
        ...

    def preview(self, rows: int, problem: Problem[ColumnsT], state: StateT) -> Tokens | None:
        """Tokens `[rows, H, W, C]` of the first `rows` as they are; None where nothing is drawn."""
        ...

    def result(self) -> Result:
        """The result of all rows. Raises ComputationFailed."""
        ...


AnyJobRows = JobRows[Any, Any]


def first(tree: Tree, rows: int) -> Tree:
    """The first `rows` rows of every leaf, as views."""
    if rows == count(tree):
        return tree
    return cast(Tree, optree.tree_map(lambda leaf: leaf[:rows], cast(Any, tree)))
