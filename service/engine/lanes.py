"""All lanes of an engine, by their keys."""

from collections import UserDict, defaultdict
from collections.abc import Collection

from models.solvers.base import Problem
from service.engine.ids import Ids, jobs_of
from service.engine.lane import AnyLane, Lane
from service.engine.running import LaneKey
from service.rows import AnyJobRows


class Lanes(UserDict[LaneKey, AnyLane]):
    """The lanes with rows: one is made for its first rows, and is gone with its last."""

    def admit(self, key: LaneKey, work: AnyJobRows, ids: Ids, problem: Problem[object]) -> None:
        """Begin rows that have jobs like `work`; `problem` has one for each of `ids`."""
        if key in self:
            self[key].admit(ids, problem)
        else:
            self[key] = Lane(work.solver, work.adaptive, ids, problem)

    def discard(self, key: LaneKey, ids: Ids) -> None:
        """Drop those of these rows that are in the lane."""
        lane = self[key]
        gone = len(lane.among(ids))
        if gone == len(lane):
            del self[key]
        elif gone:
            lane.discard(ids)

    def discard_job(self, key: LaneKey, number: int) -> None:
        """Drop all rows of a job, which may have none in the lane."""
        if key in self:
            ids = self[key].ids
            self.discard(key, ids[jobs_of(ids) == number])

    def by_call(self) -> Collection[list[LaneKey]]:
        """Return the keys of all lanes, together where one network call can serve their rows."""
        calls: dict[tuple[str, int, bool], list[LaneKey]] = defaultdict(list)
        for key in self:
            calls[key.checkpoint, key.probes, key.sampling].append(key)
        return calls.values()
