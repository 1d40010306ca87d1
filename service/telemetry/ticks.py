"""Records of what one tick of the engine did, and where its time went."""

import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

# A network is evaluated forward, or also differentiated, for likelihoods and verdicts.
Mode = Literal["forward", "pull-back"]
# Why a tick takes no more rows: none is left, its price is spent, or no more may begin or are held.
Reason = Literal["drained", "full", "resident"]
TickPart = Literal["plan", "begin", "ask", "network", "tell", "retire", "report"]


class LaneName(NamedTuple):
    """The rows of one checkpoint, by its SHA-256, and one solver."""

    checkpoint: str
    solver: str


class NetworkCall(NamedTuple):
    """One network call: how many rows of each solver it took, and why its tick took no more.
    `work` is its price in row-evaluations (`service.price`)."""

    checkpoint: str
    mode: Mode
    reason: Reason
    rows: dict[str, int]
    work: int


@dataclass(slots=True)
class Tick:
    """One tick, which begins when this record is made.

    `active` counts the rows that have begun and not ended, `waiting` those that wait to begin.
    `parts` has the seconds spent on each part. A device such as CUDA works beside the host, so that
    its time shows in the part that waits for it.
    """

    calls: list[NetworkCall] = field(default_factory=list)
    active: Counter[LaneName] = field(default_factory=Counter)
    waiting: Counter[LaneName] = field(default_factory=Counter)
    parts: dict[TickPart, float] = field(default_factory=lambda: defaultdict(float))
    began: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0

    def lap(self, part: TickPart) -> None:
        """Count all time since the last lap as time of `part`."""
        spent = time.perf_counter() - self.began
        self.parts[part] += spent - self.seconds
        self.seconds = spent
