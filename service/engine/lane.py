"""A lane: the rows of one solver, whichever job each belongs to."""

from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import optree
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.rows.rows import QUANTUM, Answer, concat, count, pad, take
from models.solvers.base import AnySolver, Problem, RowStatus
from service.engine.packer import Question
from service.engine.scheduler import Ids

Tree = TypeVar("Tree")
Progressed = NDArray[np.float64]
ALMOST = 1 - 1e-9


class Turn(NamedTuple):
    """Rows of a lane that are put to the network together: `rows` real ones and the padding.

    `places` says where they stand in the lane; None for all of it.
    """

    rows: int
    places: Tensor | None
    problem: Problem[Any]
    state: Any


class Lane:
    """Problem, state and names of the rows that one solver carries, in one padded block.

    All are of one structure. A turn is computed apart and then put back, so that a row which is
    not told, or whose turn fails, stays as it was. `adaptive` rows end when the solver says so.
    """

    def __init__(self, solver: AnySolver, adaptive: bool, ids: Ids, problem: Problem[Any]) -> None:
        self.solver, self.adaptive, self.ids = solver, adaptive, ids
        self._block = self._begin(problem)

    def __len__(self) -> int:
        return len(self.ids)

    def admit(self, ids: Ids, problem: Problem[Any]) -> None:
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
        """Those of `ids` that are in this lane, in its order."""
        return self.ids[np.isin(self.ids, ids)]

    def rows(self, ids: Ids) -> tuple[Problem[Any], Any]:
        """Problem and state of `ids`, which are in the lane's order; padded."""
        return self._select(self._places(np.isin(self.ids, ids)))

    def turn(self, ids: Ids) -> Turn:
        """A turn of `ids`, which are in the lane's order; of all rows, without a copy."""
        if len(ids) == len(self):
            return Turn(len(self), None, *self._block)
        places = self._places(np.isin(self.ids, ids))
        return Turn(len(ids), places, *self._select(places))

    def ask(self, turn: Turn) -> Question:
        """What the real rows of a turn ask."""
        query = self.solver.ask(turn.problem, turn.state)
        return first((query, turn.problem.condition), turn.rows)

    def tell(self, turn: Turn, answer: Answer) -> Turn:
        """The turn after the network's answer."""
        answer = pad(answer, QUANTUM)
        return turn._replace(state=self.solver.tell(turn.problem, turn.state, answer))

    def put_back(self, turn: Turn) -> None:
        """Make a turn's state the lane's own."""
        problem, state = self._block
        places = turn.places
        if places is None:
            state = turn.state
        else:
            state = optree.tree_map(
                lambda old, new: old.index_copy(0, places, new[: turn.rows]), state, turn.state
            )
        self._block = problem, state

    def progress(self, turn: Turn) -> Progressed:
        """The share of its way that each real row has gone, read from the device; 1 means ended."""
        status = self.solver.status(turn.problem, turn.state)
        progress = self.solver.progress(turn.problem, turn.state).double().clamp(0, ALMOST)
        ended = torch.where(status == RowStatus.RUNNING, progress.nan_to_num(), 1.0)
        return ended[: turn.rows].cpu().numpy()

    def _begin(self, problem: Problem[Any]) -> tuple[Problem[Any], Any]:
        padded = pad(problem, QUANTUM)
        return padded, self.solver.init(padded)

    def _select(self, places: Tensor) -> tuple[Problem[Any], Any]:
        return pad(take(self._block, places), QUANTUM)

    def _places(self, chosen: NDArray[np.bool_]) -> Tensor:
        return torch.as_tensor(np.flatnonzero(chosen), device=self._block[0].key.seed.device)


def first(tree: Tree, rows: int) -> Tree:
    """The first `rows` rows, as views."""
    if rows == count(tree):
        return tree
    return cast(Tree, optree.tree_map(lambda leaf: leaf[:rows], cast(Any, tree)))
