"""What one tick of the engine did, and where its time went. Plain data."""

import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

# Networks are evaluated, or also pulled back through for likelihoods and verdicts.
Mode = Literal["forward", "pull-back"]
# Why no more rows ran: there were none, the tick's price was spent, no more rows may have begun.
Reason = Literal["drained", "full", "resident"]
TickPart = Literal["plan", "begin", "ask", "network", "tell", "retire", "report"]


class LaneName(NamedTuple):
    """Rows of one checkpoint, by its SHA-256, and solver."""

    checkpoint: str
    solver: str


class Call(NamedTuple):
    """One network call: how many rows of each solver it took, and why its tick took no more.
    `work` is its price in row-evaluations (`service.price`)."""

    checkpoint: str
    mode: Mode
    reason: Reason
    rows: dict[str, int]
    work: int


@dataclass(slots=True)
class Tick:
    """Begins when it is made. `active`: rows that have begun and not ended; `waiting`: rows that
    wait to begin. `parts` are seconds; on a device that works on its own, as CUDA does, a part that
    waits for it has the time of those before."""

    calls: list[Call] = field(default_factory=list)
    active: Counter[LaneName] = field(default_factory=Counter)
    waiting: Counter[LaneName] = field(default_factory=Counter)
    parts: dict[TickPart, float] = field(default_factory=lambda: defaultdict(float))
    began: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0

    def lap(self, part: TickPart) -> None:
        """All time since the last lap was spent on `part`."""
        spent = time.perf_counter() - self.began
        self.parts[part] += spent - self.seconds
        self.seconds = spent
