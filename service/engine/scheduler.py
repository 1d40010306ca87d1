"""The scheduler chooses the rows of each tick. It knows their price and age; no solver, no clock.

There are no phases, only remaining work: a job that has just come and one that is half done differ
in a number. Jobs go by priority, then by the least work left (shortest remaining processing time,
Schrage 1968), so that a short job never waits for a long one; a share of every tick belongs to
the oldest job, so that the long one ends too. Where jobs of several owners are inside, each owner
has an equal share of every tick first; priorities order an owner's own jobs, and what is left over.
"""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.engine.call_price import CallSizes
from service.engine.ids import Ids, by_job, row_ids, rows_of
from service.engine.work import Work
from service.telemetry.ticks import Reason

# A job is patient beside another whose whole price is this many times less.
PATIENT = 4
# The most ticks for which rows are held that could begin.
LONGEST_HOLD = 4
ANY_SIZE = CallSizes()


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


class Scheduler:
    """Divides ticks among jobs. One evaluation of a row costs its job's `weight`, in
    row-evaluations (`service.price`)."""

    def __init__(self, limits: SchedulerLimits | None = None) -> None:
        self.limits = limits or SchedulerLimits()
        self._works: dict[int, Work] = {}
        self._next = 0
        self._budget = self.limits.tick
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
        self._works[job] = Work(rows, evaluations, group, weight, priority, deadline, owner)
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
        return self._works[job].progress

    def plan(self, sizes: CallSizes = ANY_SIZE, begin_price: float = 0.0) -> Plan:
        """Choose the rows of the next tick, in calls of the `sizes` as far as possible.

        To hold rows for a tick may save `begin_price` ticks. Admissions count as begun from here
        on.
        """
        works = self._works
        self._budget = self._price_of_tick(*sizes)
        shares, begins = self._share_out()
        if self._is_early(shares, begins, begin_price):
            self._hold(shares, begins)
        admissions = []
        for job, rows in begins.items():
            begun = works[job].begun
            works[job].begin(rows)
            admissions.append(Admission(job, begun, begun + rows))
        run = [row_ids(job, works[job].nearest_their_end(rows)) for job, rows in shares.items()]
        return Plan(admissions, np.concatenate([np.empty(0, np.int64), *run]), self._reason(shares))

    def to_begin(self, job: int) -> int:
        """Return how many rows of a job have not begun."""
        return self._works[job].waiting

    def record_evaluations(
        self, ids: Ids, progress: NDArray[np.float64] | None = None
    ) -> NDArray[np.bool_]:
        """Count one evaluation of each row, and return which of the rows have ended.

        `progress` is the share of its way that each row has gone. Without it the rows end after the
        evaluations that their job was added with.
        """
        ended = np.zeros(len(ids), np.bool_)
        for job, places in by_job(ids):
            mine = None if progress is None else progress[places]
            ended[places] = self._works[job].record(rows_of(ids[places]), mine)
        return ended

    def _price_of_tick(self, quantum: int, efficient: int | None) -> int:
        """The price that the rows of the next tick may have."""
        works = self._works.values()
        if not works:
            return self.limits.tick
        lead = min(works, key=lambda work: (-work.priority, work.left))
        all_rows = urgent = 0
        for work in works:
            price = work.weight * (len(work.live) + work.waiting)
            all_rows += price
            if work.size <= PATIENT * lead.size:
                urgent += price
        budget = most = min(self.limits.tick, all_rows)
        if efficient is not None and urgent < all_rows:
            # Rows of much longer jobs fill a call up to its efficient size. Beyond that they would
            # only make the short ones wait.
            budget = min(most, max(efficient, urgent))
        over = budget % quantum
        # A few rows over a quantum would cost as much as a whole one; a call that is nearly whole
        # has room for others at no cost.
        if budget > quantum and 2 * over <= quantum:
            return budget - over
        return min(most, budget + -over % quantum)

    def _share_out(self) -> tuple[dict[int, int], dict[int, int]]:
        """The number of rows of each job that run within the tick's price, most urgent job first,
        and the number that begin for that."""
        works, shares, begins = self._works, dict.fromkeys(self._works, 0), Counter[int]()
        if not works:
            return shares, begins
        left = self._budget
        room = self.limits.resident - sum(len(work.live) for work in works.values())

        def grant(job: int, rows: int, floor: int = 0) -> None:
            nonlocal left, room
            work, live = works[job], len(works[job].live) + begins[job]
            short = min(shares[job] + rows - live, work.waiting - begins[job], max(room, floor))
            if short > 0:
                new = work.in_groups(begins[job] + short) - begins[job]
                begins[job] += new
                live, room = live + new, room - new
            granted = min(rows, live - shares[job])
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
                # Each owner's most urgent job finds room in a full house, and a row that costs more
                # than a tick in what is left of one.
                weight = works[job].weight
                rest = max(left, weight) if weight > self._budget and left > 0 else left
                rows = max(0, int(min(self._credits[owner], rest) // weight))
                grant(job, rows, floor=rows if job == owners[owner][0] else 0)
        for job in order:
            if left <= 0 and shares[order[0]]:
                break
            # The most urgent job may exceed the bound on resident rows, and runs a row even where
            # that costs more than a tick, unless that is at the cost of other owners.
            first = job == order[0]
            alone = not owners or not any(shares.values())
            fair = left > 0 and self._credits.get(works[job].owner, 0.0) >= 0
            least = 1 if first and not shares[job] and (alone or fair) else 0
            rows = max(left // works[job].weight, least)
            grant(job, rows, floor=rows if first else 0)
        self._forfeit(shares)
        ran = {job: rows for job, rows in shares.items() if rows}
        return ran, {job: begins[job] for job in shares if begins[job]}

    def _is_early(self, shares: dict[int, int], begins: dict[int, int], price: float) -> bool:
        """Whether rows had better begin in a later tick, together with rows that come until then.

        All jobs wait for a begin, and those that begin for the ticks in which they are held. They
        begin when their waiting has cost as much as the begin (as acknowledgements are sent in
        Dooly, Goldman & Scott, J. ACM 2001), which is at most twice what foresight would cost.
        """
        new = [self._works[job] for job in begins]
        if not new or len(shares) == len(begins) or any(work.held >= LONGEST_HOLD for work in new):
            return False
        return sum(work.held + 1 for work in new) < price * len(self._works)

    def _hold(self, shares: dict[int, int], begins: dict[int, int]) -> None:
        """Let no row begin, and take back what was paid for those that would have."""
        for job in begins:
            work = self._works[job]
            work.held += 1
            rows = min(shares[job], len(work.live))
            if work.owner in self._credits:
                self._credits[work.owner] += (shares[job] - rows) * work.weight
            shares[job] = rows
            if not rows:
                del shares[job]
        begins.clear()

    def _by_owner(self, order: list[int]) -> dict[str, list[int]]:
        """Each owner's jobs in `order`, after a share of the tick has been credited to every owner;
        empty where there is but one."""
        owners: dict[str, list[int]] = {}
        for job in order:
            owners.setdefault(self._works[job].owner, []).append(job)
        if len(owners) < 2:
            self._credits.clear()
            return {}
        share = self._budget / len(owners)
        saved = {owner: self._credits.get(owner, 0.0) + share for owner in owners}
        # Only differences count: where a tick buys less than the shares, all would grow for good.
        surplus = max(0.0, min(saved.values()) - share)
        self._credits = {owner: credit - surplus for owner, credit in saved.items()}
        return owners

    def _forfeit(self, shares: dict[int, int]) -> None:
        """Clear the accounts of owners all of whose rows run: nobody saves up for later. Rows that
        others left room for are charged too, but nobody owes more than a tick."""
        waiting = {
            work.owner
            for job, work in self._works.items()
            if shares[job] < len(work.live) + work.waiting
        }
        for owner, credit in self._credits.items():
            self._credits[owner] = max(credit, -float(self._budget)) if owner in waiting else 0.0

    def _reason(self, shares: dict[int, int]) -> Reason:
        """The reason why no more rows run: none is left, can be paid for, or may begin."""
        left, cheapest = self._budget, None
        for job, work in self._works.items():
            share = shares.get(job, 0)
            left -= share * work.weight
            if share < len(work.live) + work.waiting:
                cheapest = min(work.weight, cheapest or work.weight)
        if cheapest is None:
            return "drained"
        return "full" if left < cheapest else "resident"

    def _spend_credit(self, job: int) -> int:
        """Return how many rows of a job the reserve pays for; a remainder that is too small for a
        row is saved."""
        weight = self._works[job].weight
        self._credit += self.limits.reserve * self._budget
        rows = int(self._credit // weight)
        self._credit -= rows * weight
        return rows
