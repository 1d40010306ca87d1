"""The work of one job: what remains of it, row by row."""

import numpy as np
from numpy.typing import NDArray


class Work:
    """The evaluations of each row of a job, those that remain and those it has had, and which rows
    are `live`, that is begun and not ended.

    `size` is the price of the whole job as expected at its start, `left` that of what remains.
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
        self.evaluated = np.zeros(rows, np.int64)
        self.begun = 0
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

    def begin(self, rows: int) -> int:
        """Begin `rows` more rows, rounded up to whole groups, and return how many began."""
        last = min(self.begun + -(-rows // self.group) * self.group, len(self.remaining))
        new = np.arange(self.begun, last)
        self.live, self.begun = np.append(self.live, new), last
        return len(new)

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
        before = int(self.remaining[rows].sum())
        self.evaluated[rows] += 1
        if progress is None:
            self.remaining[rows] -= 1
        else:
            self._estimate(rows, progress)
        remaining = self.remaining[rows]
        self.left += self.weight * (int(remaining.sum()) - before)
        self._told += len(rows)
        ended: NDArray[np.bool_] = remaining == 0
        if ended.any():
            self.live = self.live[self.remaining[self.live] > 0]
        return ended

    def _estimate(self, rows: NDArray[np.int64], progress: NDArray[np.float64]) -> None:
        """Estimate the evaluations that remain for `rows` at this progress: at first as expected
        of the job, and more and more by the rows' own pace."""
        to_go = 1 - progress
        whole = self.evaluated[rows] + to_go * self.evaluations
        self.remaining[rows] = np.where(to_go > 0, np.maximum(1, np.ceil(to_go * whole)), 0)
