"""The scheduler chooses the rows of each tick. It knows their price and age; no solver, no clock.

There are no phases, only remaining work: a job that has just come and one that is half done differ
in a number. Jobs go by priority, then by the least work left (shortest remaining processing time,
Schrage 1968), so that a short job never waits for a long one; a share of every tick belongs to
the oldest job, so that the long one ends too. Where jobs of several owners are inside, each owner
has an equal share of every tick first; priorities order an owner's own jobs, and what is left over.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.telemetry.ticks import Reason

# Ids of rows: a job's number in the upper bits, the row's number within the job in the lower.
Ids = NDArray[np.int64]
ROW_BITS = 32


def row_ids(job: int, rows: NDArray[np.int64]) -> Ids:
    """Return the ids of a job's rows, which are unique among all jobs."""
    return (job << ROW_BITS) | rows


def jobs_of(ids: Ids) -> NDArray[np.int64]:
    """Return the job of each row."""
    return ids >> ROW_BITS


def by_job(ids: Ids) -> list[tuple[int, NDArray[np.intp]]]:
    """Return each job that has rows among `ids`, with the positions of these rows, ascending."""
    jobs = jobs_of(ids)
    order = np.argsort(jobs, kind="stable")
    numbers, starts = np.unique(jobs[order], return_index=True)
    return list(zip(numbers.tolist(), np.split(order, starts[1:]), strict=True)) if len(ids) else []


def rows_of(ids: Ids) -> NDArray[np.int64]:
    """Return the number of each row within its job."""
    return ids & ((1 << ROW_BITS) - 1)


@dataclass(frozen=True, slots=True)
class SchedulerLimits:
    """Bounds on a tick and on the rows inside the engine.

    `tick` is the price of one tick, in evaluations of one row. Only the most urgent job begins rows
    while `resident` rows have begun and not ended. `reserve` is the oldest job's share of a tick.
    """

    tick: int = 64
    resident: int = 512
    reserve: float = 0.125


class Admission(NamedTuple):
    """An order to begin rows `first` to `last` - 1 of a job."""

    job: int
    first: int
    last: int


class Plan(NamedTuple):
    """The work of one tick: the `admissions` begin, then the rows `run` are evaluated once.

    `reason` says why the tick takes no more rows.
    """

    admissions: list[Admission]
    run: Ids
    reason: Reason


class _Work:
    """The work of one job: for each row the evaluations that remain and those it has had, and which
    rows are `live`, that is begun and not ended."""

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

    @property
    def left(self) -> int:
        return self.weight * int(self.remaining.sum())

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

    def estimate(self, rows: NDArray[np.int64], progress: NDArray[np.float64]) -> None:
        """Estimate the evaluations that remain for `rows` at this progress: at first as expected
        of the job, and more and more by the rows' own pace."""
        to_go = 1 - progress
        whole = self.evaluated[rows] + to_go * self.evaluations
        self.remaining[rows] = np.where(to_go > 0, np.maximum(1, np.ceil(to_go * whole)), 0)


class Scheduler:
    """Divides ticks among jobs. One evaluation of a row costs its job's `weight`, in
    row-evaluations (`service.price`)."""

    def __init__(self, limits: SchedulerLimits | None = None) -> None:
        self.limits = limits or SchedulerLimits()
        self._works: dict[int, _Work] = {}
        self._next = 0
        self._credit = 0.0
        # What each of several owners has not yet spent of its shares.
        self._credits: dict[str, float] = {}

    def __len__(self) -> int:
        """Number of jobs."""
        return len(self._works)

    def add(
        self,
        rows: int,
        evaluations: int,
        group: int = 1,
        weight: int = 1,
        priority: int = 0,
        deadline: float = float("inf"),
        owner: str = "",
    ) -> int:
        """Take in a job of `rows` rows with `evaluations` each, perhaps an estimate, and return the
        job's number.

        Rows begin in groups of `group`, which divides `rows`. `deadline` is in seconds since the
        epoch.
        """
        job, self._next = self._next, self._next + 1
        self._works[job] = _Work(rows, evaluations, group, weight, priority, deadline, owner)
        return job

    def drop(self, job: int) -> None:
        """Forget a job, whether it has ended or not."""
        if job == min(self._works):
            self._credit = 0.0
        del self._works[job]

    def expired(self, now: float) -> list[int]:
        """Return the jobs whose deadline has passed at time `now`."""
        return [job for job, work in self._works.items() if work.deadline <= now]

    def progress(self, job: int) -> float:
        """Return the share of a job's evaluations, made and expected, that are made."""
        work = self._works[job]
        evaluated = int(work.evaluated.sum())
        return evaluated / max(1, evaluated + int(work.remaining.sum()))

    def plan(self) -> Plan:
        """Choose the rows of the next tick. Admissions count as begun from here on."""
        before = {job: work.begun for job, work in self._works.items()}
        shares = self._share_out()
        admissions = [
            Admission(job, before[job], self._works[job].begun)
            for job in shares
            if self._works[job].begun > before[job]
        ]
        run = [
            row_ids(job, self._works[job].nearest_their_end(rows)) for job, rows in shares.items()
        ]
        return Plan(admissions, np.concatenate([np.empty(0, np.int64), *run]), self._reason(shares))

    def to_begin(self, job: int) -> int:
        """Return how many rows of a job have not begun."""
        work = self._works[job]
        return len(work.remaining) - work.begun

    def record_evaluations(
        self, ids: Ids, progress: NDArray[np.float64] | None = None
    ) -> NDArray[np.bool_]:
        """Count one evaluation of each row, and return which of the rows have ended.

        `progress` is the share of its way that each row has gone. Without it the rows end after the
        evaluations that their job was added with.
        """
        ended = np.zeros(len(ids), np.bool_)
        for job, positions in by_job(ids):
            work, rows = self._works[job], rows_of(ids[positions])
            work.evaluated[rows] += 1
            if progress is None:
                work.remaining[rows] -= 1
            else:
                work.estimate(rows, progress[positions])
            ended[positions] = work.remaining[rows] == 0
            if ended[positions].any():
                work.live = work.live[work.remaining[work.live] > 0]
        return ended

    def _share_out(self) -> dict[int, int]:
        """Number of rows of each job that run within the tick's price, most urgent job first."""
        works, shares = self._works, dict.fromkeys(self._works, 0)
        if not works:
            return shares
        left = self.limits.tick
        room = self.limits.resident - sum(len(work.live) for work in works.values())

        def grant(job: int, rows: int, floor: int = 0) -> None:
            nonlocal left, room
            work = works[job]
            short = min(shares[job] + rows - len(work.live), max(room, floor))
            if short > 0:
                room -= work.begin(short)
            granted = min(rows, len(work.live) - shares[job])
            shares[job] += granted
            left -= granted * work.weight
            if work.owner in self._credits:
                self._credits[work.owner] -= granted * work.weight

        order = sorted(works, key=lambda job: (-works[job].priority, works[job].left, job))
        owners = self._by_owner(order)
        oldest = min(works)
        grant(oldest, self._spend_credit(oldest))
        for owner in sorted(owners, key=lambda name: -self._credits[name]):
            for job in owners[owner]:
                # Each owner's most urgent job finds room in a full house.
                rows = int(min(self._credits[owner], left) // works[job].weight)
                grant(job, rows, floor=rows if job == owners[owner][0] else 0)
        for job in order:
            # The most urgent job may exceed the bound on resident rows, and runs a row even where
            # that costs more than a tick.
            first = job == order[0]
            rows = max(left // works[job].weight, 1 if first and not shares[job] else 0)
            grant(job, rows, floor=rows if first else 0)
        self._forfeit(shares)
        return {job: rows for job, rows in shares.items() if rows}

    def _by_owner(self, order: list[int]) -> dict[str, list[int]]:
        """Each owner's jobs in `order`, after a share of the tick has been credited to every owner;
        empty where there is but one."""
        owners: dict[str, list[int]] = {}
        for job in order:
            owners.setdefault(self._works[job].owner, []).append(job)
        if len(owners) < 2:
            self._credits.clear()
            return {}
        share = self.limits.tick / len(owners)
        saved = {owner: self._credits.get(owner, 0.0) + share for owner in owners}
        # Only differences count: where a tick buys less than the shares, all would grow for good.
        surplus = max(0.0, min(saved.values()) - share)
        self._credits = {owner: credit - surplus for owner, credit in saved.items()}
        return owners

    def _forfeit(self, shares: dict[int, int]) -> None:
        """Take back the credit of owners all of whose rows run: nobody saves up for later."""
        waiting = {
            work.owner
            for job, work in self._works.items()
            if shares[job] < len(work.live) + self.to_begin(job)
        }
        for owner in self._credits.keys() - waiting:
            self._credits[owner] = min(self._credits[owner], 0.0)

    def _reason(self, shares: dict[int, int]) -> Reason:
        """The reason why no more rows run: none is left, can be paid for, or may begin."""
        left, cheapest = self.limits.tick, None
        for job, work in self._works.items():
            share = shares.get(job, 0)
            left -= share * work.weight
            if share < len(work.live) + self.to_begin(job):
                cheapest = min(work.weight, cheapest or work.weight)
        if cheapest is None:
            return "drained"
        return "full" if left < cheapest else "resident"

    def _spend_credit(self, job: int) -> int:
        """Return how many rows of a job the reserve pays for; a remainder that is too small for a
        row is saved."""
        weight = self._works[job].weight
        self._credit += self.limits.reserve * self.limits.tick
        rows = int(self._credit // weight)
        self._credit -= rows * weight
        return rows
