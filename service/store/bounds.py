"""Bounds on what a store takes in and keeps."""

import math
import time
from dataclasses import dataclass, replace
from typing import Self

from service.settings import Settings

# Seconds for which a store knows of an ended job, after its result is gone, that there was one; a
# store in memory knows of at most so many.
REMEMBERED_S = 3_600.0
# Ended jobs that the store in memory remembers.
REMEMBERED = 10_000
# Seconds for which a queue that was not half full is taken not to be full.
SEEN_FOR_S = 1.0
# Seconds in which a new result is not dropped, so that whoever waits for it can read it.
UNREAD_S = 30.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of one store; times in seconds.

    At most `capacity` jobs wait, and at most the price `capacity_cost` in row-evaluations
    (`service.price`); a job that costs more may wait alone. Past either limit an owner may still
    have its share: the limit divided by the number of owners with waiting jobs. A result is kept
    for `retention_s`, and for at least `unread_s`, while its owner has at most `retained` results
    and all results take at most `retained_bytes`. A silent worker keeps its jobs for `lease_s`. A
    job that ends `most_crashes` workers while it runs alone is given up.
    """

    capacity: int
    retained: int
    retention_s: float
    lease_s: float = 30.0
    most_crashes: int = 5
    capacity_cost: int = 10_000_000
    retained_bytes: int = 512 << 20
    unread_s: float = UNREAD_S

    @property
    def kept_s(self) -> float:
        """Seconds for which a result is kept where there is room for it."""
        return max(self.retention_s, self.unread_s)

    def divided(self, shards: int) -> Self:
        """Return the bounds of one of so many shards, which are rounded up."""
        return replace(
            self,
            capacity=-(-self.capacity // shards),
            capacity_cost=-(-self.capacity_cost // shards),
            retained=-(-self.retained // shards),
            retained_bytes=-(-self.retained_bytes // shards),
        )

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the bounds in the settings of a deployment."""
        return cls(
            settings.max_queued_jobs,
            settings.max_retained_jobs,
            settings.retention_s,
            settings.lease_s,
            settings.max_crashes,
            capacity_cost=settings.max_queued_row_evaluations,
            retained_bytes=settings.max_retained_bytes,
        )


class SeenRoom:
    """The room that a process saw in the queue as it put a job, for a short time.

    A look before the images of a request are decoded can be spared then: the queue itself decides
    when the job is put.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._jobs, self._cost, self._until = 0, 0, -math.inf

    def seen(self, jobs: int, cost: int) -> None:
        """Take in how many jobs wait now, and what they cost."""
        self._jobs, self._cost, self._until = jobs, cost, time.monotonic() + SEEN_FOR_S

    def suffices(self, cost: int) -> bool:
        """Whether a job of this cost would have left half of the queue free just now."""
        bounds, is_recent = self._bounds, time.monotonic() < self._until
        fits = self._jobs < bounds.capacity / 2 and self._cost + cost < bounds.capacity_cost / 2
        return is_recent and fits
