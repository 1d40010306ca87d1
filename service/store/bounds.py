"""Bounds on what a store takes in and keeps."""

from dataclasses import dataclass
from typing import Self

from service.settings import Settings

# Seconds for which an ended job is remembered after its result has been dropped.
REMEMBERED_S = 3_600.0
# Ended jobs that the store in memory remembers.
REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of one store; times are in seconds.

    `capacity` jobs may be queued, with `capacity_cost` predicted row-evaluations; a job that costs
    more may be queued alone. `retained` results are kept, each for `retention_s`. A silent worker
    keeps its jobs for `lease_s`. A job that runs alone becomes a dead letter with its
    `most_crashes`-th crash.
    """

    capacity: int
    retained: int
    retention_s: float
    lease_s: float = 30.0
    most_crashes: int = 5
    capacity_cost: int = 10_000_000

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
        )
