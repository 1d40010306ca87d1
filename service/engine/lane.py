"""A lane: the rows that one solver carries for one checkpoint, whichever jobs they belong to."""

from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar, cast

import numpy as np
import optree
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.rows.denoiser import Denoiser
from models.rows.rows import (
    Answer,
    Condition,
    Query,
    concat,
    count,
    first,
    pad,
    row_quantum,
    split,
    take,
)
from models.solvers.base import Problem, RowStatus, Solver
from service.engine.ids import Ids, are_among
from service.rows import ColumnsT, StateT

Tree = TypeVar("Tree")
# For each row, the share of its way that it has gone, from 0 to 1; 1 means that it has ended.
RowProgress = NDArray[np.float64]
# What some rows give to the network: their queries, and the conditions that these are put under.
NetworkInput = tuple[Query, Condition]
# The most progress that a running row may report, so that none looks ended.
ALMOST = 1 - 1e-9


class LaneBatch(NamedTuple, Generic[ColumnsT, StateT]):
    """Some rows of a lane on their way through one network call, padded: the first `rows` are real.

    `places` holds their positions in the lane, and is None for a batch of the whole lane.
    """

    rows: int
    places: Tensor | None
    problem: Problem[ColumnsT]
    state: StateT


class Lane(Generic[ColumnsT, StateT]):
    """Problem, state and ids of the rows that one solver carries, in padded blocks.

    All problems have one structure. The rows stand at the front of the block of problems, which has
    room to spare and is changed in place; what stands behind them is copies of rows, old or new.
    The block of states ends with the padding. A batch is computed apart and then written back, so
    that a row outside the batch, or in a batch that fails, keeps its state. An `adaptive` solver
    decides for each row when it has ended.
    """

    def __init__(
        self, solver: Solver[ColumnsT, StateT], adaptive: bool, ids: Ids, problem: Problem[ColumnsT]
    ) -> None:
        self.solver, self.adaptive, self.ids = solver, adaptive, ids
        self._quantum = row_quantum(problem.condition.schedule.a[0].numel())
        self._problems = pad(problem, self._quantum)
        self._states = solver.init(self._problems)
        # Leaves of a solver's state may share memory with each other and with the problem's.
        self._shared = True

    def __len__(self) -> int:
        return len(self.ids)

    def admit(self, ids: Ids, problem: Problem[ColumnsT]) -> None:
        """Begin new rows; `problem` has one for each of `ids`."""
        old, rows = len(self), len(self) + len(ids)
        new = pad(problem, self._quantum)
        states = first(self.solver.init(new), len(ids))
        self._reserve(rows)
        _write(self._problems, slice(old, rows), problem)
        self._states = pad(concat([first(self._states, old), states]), self._quantum)
        self._shared = False
        self.ids = np.append(self.ids, ids)

    def discard(self, ids: Ids) -> None:
        """Drop these rows; at least one row must stay. The last ones move to the places that become
        free."""
        gone = are_among(self.ids, ids)
        rows = len(self) - int(gone.sum())
        free = np.flatnonzero(gone[:rows])
        movers = rows + np.flatnonzero(~gone[rows:])
        order = np.arange(rows)
        order[free] = movers
        self.ids = self.ids[order]
        if len(free):
            moved = take(self._problems, self._index(movers))
            _write(self._problems, self._index(free), moved)
        self._states = pad(take(self._states, self._index(order)), self._quantum)
        self._shared = False

    def among(self, ids: Ids) -> Ids:
        """Return the ids among `ids` that are in this lane, in the lane's order."""
        return self.ids[are_among(self.ids, ids)]

    def rows(self, ids: Ids) -> tuple[Problem[ColumnsT], StateT]:
        """Return problem and state of `ids`, which are in the lane's order; both are padded."""
        return self._select(self._index(np.flatnonzero(are_among(self.ids, ids))))

    def batch(self, ids: Ids) -> LaneBatch[ColumnsT, StateT]:
        """Make a batch of `ids`, which are in the lane's order. A batch of all rows is no copy."""
        if len(ids) == len(self):
            problems = first(self._problems, count(self._states))
            return LaneBatch(len(self), None, problems, self._states)
        places = self._index(np.flatnonzero(are_among(self.ids, ids)))
        return LaneBatch(len(ids), places, *self._select(places))

    def ask(self, batch: LaneBatch[ColumnsT, StateT]) -> NetworkInput:
        """Return the queries and conditions of a batch's real rows."""
        query = self.solver.ask(batch.problem, batch.state)
        return first((query, batch.problem.condition), batch.rows)

    def tell(
        self, batch: LaneBatch[ColumnsT, StateT], answer: Answer
    ) -> LaneBatch[ColumnsT, StateT]:
        """Return the batch with its state after the network's answer to its real rows."""
        answer = pad(answer, self._quantum)
        return batch._replace(state=self.solver.tell(batch.problem, batch.state, answer))

    def write_back(self, batch: LaneBatch[ColumnsT, StateT]) -> None:
        """Make a batch's state the lane's own."""
        if batch.places is None:
            self._states, self._shared = batch.state, True
            return
        if self._shared:
            self._states, self._shared = _copy(self._states), False
        _write(self._states, batch.places, first(batch.state, batch.rows))

    def progress(self, batch: LaneBatch[ColumnsT, StateT]) -> RowProgress:
        """Read from the device how far each real row of a batch has come."""
        status = self.solver.status(batch.problem, batch.state)
        progress = self.solver.progress(batch.problem, batch.state).double().clamp(0, ALMOST)
        ended = torch.where(status == RowStatus.RUNNING, progress.nan_to_num(), 1.0)
        return ended[: batch.rows].cpu().numpy()

    def _select(self, places: Tensor) -> tuple[Problem[ColumnsT], StateT]:
        return pad(take((self._problems, self._states), places), self._quantum)

    def _index(self, places: NDArray[np.intp]) -> Tensor:
        return torch.as_tensor(places, device=self._problems.key.seed.device)

    def _reserve(self, rows: int) -> None:
        """Make room in the block of problems for so many rows, padded."""
        if count(self._problems) < rows + self._quantum:
            # Twice as many, so that a lane that fills row by row is copied seldom.
            self._problems = pad(self._problems, 2 * (rows + self._quantum))


def evaluate(denoiser: Denoiser, inputs: Sequence[NetworkInput]) -> list[Answer]:
    """Evaluate the inputs of several lanes in one network call, and return an answer for each.

    All queries have equally many probes.
    """
    query, condition = concat(inputs)
    answer = denoiser.evaluate(query, condition)
    return split(answer, [count(part) for part, _ in inputs])


def _write(tree: Tree, places: Tensor | slice, rows: Tree) -> None:
    """Write `rows` to `places` of a tree, in place."""

    def leaf(old: Tensor, new: Tensor) -> Tensor:
        old[places] = new
        return old

    optree.tree_map(leaf, cast(Any, tree), cast(Any, rows))


def _copy(tree: Tree) -> Tree:
    return cast(Tree, optree.tree_map(torch.clone, cast(Any, tree)))


AnyLane = Lane[Any, Any]
AnyBatch = LaneBatch[Any, Any]
