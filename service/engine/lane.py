"""A lane: the rows of one solver, from any number of jobs."""

from typing import Any, Generic, NamedTuple, cast

import numpy as np
import optree
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.rows.rows import QUANTUM, Answer, concat, pad, take
from models.solvers.base import Problem, RowStatus, Solver
from service.engine.packer import Question
from service.engine.scheduler import Ids
from service.rows import ColumnsT, StateT, Tree, first

Progressed = NDArray[np.float64]
ALMOST = 1 - 1e-9


class Turn(NamedTuple, Generic[ColumnsT, StateT]):
    """Rows of a lane that are put to the network together: `rows` real ones and the padding.

    `places` says where they stand in the lane; None for all of it.
    """

    rows: int
    places: Tensor | None
    problem: Problem[ColumnsT]
    state: StateT


class Lane(Generic[ColumnsT, StateT]):
    """Problem, state and names of the rows that one solver carries, in one padded block.

    All are of one structure. A turn is computed apart and then put back, so that a row which is
    not told, or whose turn fails, stays as it was. `adaptive` rows end when the solver says so.
    """

    def __init__(
        self,
        solver: Solver[ColumnsT, StateT],
        adaptive: bool,
        ids: Ids,
        problem: Problem[ColumnsT],
    ) -> None:
        self.solver, self.adaptive, self.ids = solver, adaptive, ids
        self._block = self._begin(problem)

    def __len__(self) -> int:
        return len(self.ids)

    def admit(self, ids: Ids, problem: Problem[ColumnsT]) -> None:
        """Begin new rows; `problem` has one for each of `ids`."""
        old, new = first(self._block, len(self)), first(self._begin(problem), len(ids))
        self._block = pad(concat([old, new]), QUANTUM)
        self.ids = np.append(self.ids, ids)

    def discard(self, ids: Ids) -> None:
        """Drop these rows; at least one must stay."""
        stay = ~np.isin(self.ids, ids)
        self._block = self._select(self._places(stay))
        self.ids = self.ids[stay]

    def among(self, ids: Ids) -> Ids:
        """The members of `ids` that are in this lane, in its order."""
        return self.ids[np.isin(self.ids, ids)]

    def rows(self, ids: Ids) -> tuple[Problem[ColumnsT], StateT]:
        """Problem and state of `ids`, which are in the lane's order; padded."""
        return self._select(self._places(np.isin(self.ids, ids)))

    def turn(self, ids: Ids) -> Turn[ColumnsT, StateT]:
        """A turn of `ids`, which are in the lane's order; of all rows, without a copy."""
        if len(ids) == len(self):
            return Turn(len(self), None, *self._block)
        places = self._places(np.isin(self.ids, ids))
        return Turn(len(ids), places, *self._select(places))

    def ask(self, turn: Turn[ColumnsT, StateT]) -> Question:
        """The question of the real rows of a turn."""
        query = self.solver.ask(turn.problem, turn.state)
        return first((query, turn.problem.condition), turn.rows)

    def tell(self, turn: Turn[ColumnsT, StateT], answer: Answer) -> Turn[ColumnsT, StateT]:
        """The turn after the network's answer."""
        answer = pad(answer, QUANTUM)
        return turn._replace(state=self.solver.tell(turn.problem, turn.state, answer))

    def put_back(self, turn: Turn[ColumnsT, StateT]) -> None:
        """Write a turn's state back into the lane."""
        problem, state = self._block
        if turn.places is None:
            self._block = problem, turn.state
        else:
            told = first(turn.state, turn.rows)
            self._block = problem, _overwrite(state, turn.places, told)

    def progress(self, turn: Turn[ColumnsT, StateT]) -> Progressed:
        """The share of its way that each real row has gone, read from the device; 1 means ended."""
        status = self.solver.status(turn.problem, turn.state)
        progress = self.solver.progress(turn.problem, turn.state).double().clamp(0, ALMOST)
        ended = torch.where(status == RowStatus.RUNNING, progress.nan_to_num(), 1.0)
        return ended[: turn.rows].cpu().numpy()

    def _begin(self, problem: Problem[Any]) -> tuple[Problem[ColumnsT], StateT]:
        padded = pad(problem, QUANTUM)
        return padded, self.solver.init(padded)

    def _select(self, places: Tensor) -> tuple[Problem[ColumnsT], StateT]:
        return pad(take(self._block, places), QUANTUM)

    def _places(self, chosen: NDArray[np.bool_]) -> Tensor:
        return torch.as_tensor(np.flatnonzero(chosen), device=self._block[0].key.seed.device)


def _overwrite(tree: Tree, places: Tensor, rows: Tree) -> Tree:
    """The tree with `rows` at `places`; nothing is changed in place."""

    def leaf(old: Tensor, new: Tensor) -> Tensor:
        return old.index_copy(0, places, new)

    return cast(Tree, optree.tree_map(leaf, cast(Any, tree), cast(Any, rows)))


AnyLane = Lane[Any, Any]
AnyTurn = Turn[Any, Any]
