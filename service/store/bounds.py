"""How much a store takes in and keeps."""

from dataclasses import dataclass
from typing import Self

from service.settings import Settings

# For so many seconds beyond its result it is known of an ended job that there was one; in memory of
# so many jobs.
REMEMBERED_S = 3_600.0
REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """`capacity`: jobs that may wait. `retained`, `retention_s`: how many results are kept, and how
    long. `lease_s`: how long a silent worker keeps its jobs. `most_crashes`: that a job may cause
    alone before it is a dead letter. `capacity_cost`: the price of what may wait, in
    row-evaluations (`service.price`); a job that costs more may wait alone."""

    capacity: int
    retained: int
    retention_s: float
    lease_s: float = 30.0
    most_crashes: int = 5
    capacity_cost: int = 10_000_000

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As a deployment chose them."""
        return cls(
            settings.max_queued_jobs,
            settings.max_retained_jobs,
            settings.retention_s,
            settings.lease_s,
            settings.max_crashes,
            capacity_cost=settings.max_queued_row_evaluations,
        )
