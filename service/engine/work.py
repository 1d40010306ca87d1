"""The work of one job: what remains of it, row by row."""

import numpy as np
from numpy.typing import NDArray


class Work:
    """The evaluations that remain of each row of a job, and which rows are `live`, that is begun
    and not ended.

    `size` is the price of the whole job as expected at its start, `left` that of what remains.
    `held` counts the ticks since rows last began, in which some could have.
    """

    def __init__(
        self,
        rows: int,
        evaluations: int,
        group: int,
        weight: int,
        priority: int,
        deadline: float,
        owner: str,
    ) -> None:
        self.owner = owner
        self.evaluations, self.group, self.weight = evaluations, group, weight
        self.priority, self.deadline = priority, deadline
        self.remaining = np.full(rows, evaluations, np.int64)
        self._evaluated = np.zeros(rows, np.int64)
        self.begun = self.held = 0
        self.live = np.empty(0, np.int64)
        self.size = self.left = weight * rows * evaluations
        self._told = 0

    @property
    def progress(self) -> float:
        """The share of the evaluations, made and expected, that are made."""
        return self._told / max(1, self._told + self.left // self.weight)

    @property
    def waiting(self) -> int:
        """The number of rows that have not begun."""
        return len(self.remaining) - self.begun

    def in_groups(self, rows: int) -> int:
        """Return how many rows begin where `rows` more are to run: whole groups."""
        return min(-(-rows // self.group) * self.group, self.waiting)

    def begin(self, rows: int) -> None:
        """Begin `rows` more rows, which are whole groups."""
        new = np.arange(self.begun, self.begun + rows)
        self.live, self.begun, self.held = np.append(self.live, new), self.begun + rows, 0

    def nearest_their_end(self, rows: int) -> NDArray[np.int64]:
        """Return the `rows` live rows with the least evaluations left, in ascending order."""
        if rows >= len(self.live):
            return self.live
        order = np.argsort(self.remaining[self.live], kind="stable")[:rows]
        return np.sort(self.live[order])

    def record(
        self, rows: NDArray[np.int64], progress: NDArray[np.float64] | None
    ) -> NDArray[np.bool_]:
        """Count one evaluation of each of `rows`, and return which of them have ended. `progress`
        is as in `Scheduler.record_evaluations`."""
        if progress is None:
            self.remaining[rows] = remaining = self.remaining[rows] - 1
            self.left -= self.weight * len(rows)
        else:
            before = int(self.remaining[rows].sum())
            self._estimate(rows, progress)
            remaining = self.remaining[rows]
            self.left += self.weight * (int(remaining.sum()) - before)
        self._told += len(rows)
        ended: NDArray[np.bool_] = remaining == 0
        if ended.any():
            self.live = self.live[self.remaining[self.live] > 0]
        return ended

    def _estimate(self, rows: NDArray[np.int64], progress: NDArray[np.float64]) -> None:
        """Count one evaluation of `rows`, and estimate those that remain at this progress: at first
        as expected of the job, and more and more by the rows' own pace."""
        self._evaluated[rows] += 1
        to_go = 1 - progress
        whole = self._evaluated[rows] + to_go * self.evaluations
        self.remaining[rows] = np.where(to_go > 0, np.maximum(1, np.ceil(to_go * whole)), 0)
