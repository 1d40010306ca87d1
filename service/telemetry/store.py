"""Metrics of a store: round trips to Redis, and jobs that sweeps found."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.telemetry.observers import UNREADABLE, StoreObserver
from service.telemetry.registry import PREFIX, SECONDS


class StoreMetrics(StoreObserver):
    """Metrics of the store of one process. `up` is what its first shard is before the first round
    trip: the store in memory, which makes none, is always up."""

    def __init__(self, registry: CollectorRegistry, up: bool = False) -> None:
        self._seconds = Histogram(
            "store_round_trip_seconds",
            "Time from a request to Redis until its answer.",
            ("operation",),
            namespace=PREFIX,
            registry=registry,
            buckets=SECONDS,
        )
        self._errors = Counter(
            "store_errors_total",
            "Requests that Redis did not answer in time, or refused.",
            ("operation",),
            namespace=PREFIX,
            registry=registry,
        )
        self._up = Gauge(
            "store_up",
            "1 if the last request to this shard of the store was answered, else 0.",
            ("shard",),
            namespace=PREFIX,
            registry=registry,
        )
        self._redeliveries = Counter(
            "redeliveries_total",
            "Jobs that this process's sweeps took back from silent workers.",
            namespace=PREFIX,
            registry=registry,
        )
        self._given_up = Counter(
            "jobs_given_up_total",
            "Jobs that this process's sweeps gave up.",
            namespace=PREFIX,
            registry=registry,
        )
        self._orphaned = Counter(
            "jobs_orphaned_total",
            "Jobs that this process's sweeps cancelled because the API that waited for them died.",
            namespace=PREFIX,
            registry=registry,
        )
        self._unreadable = Counter(
            "store_unreadable_total",
            "Different values found in Redis that cannot be read.",
            ("what",),
            namespace=PREFIX,
            registry=registry,
        )
        for what in UNREADABLE:
            self._unreadable.labels(what)
        self._up.labels(0).set(up)

    def round_trip(self, operation: str, seconds: float, shard: int) -> None:
        self._seconds.labels(operation).observe(seconds)
        self._up.labels(shard).set(1)

    def unreachable(self, operation: str, seconds: float, shard: int) -> None:
        self._errors.labels(operation).inc()
        self._up.labels(shard).set(0)

    def swept(self, redelivered: int, given_up: int) -> None:
        self._redeliveries.inc(redelivered)
        self._given_up.inc(given_up)

    def orphaned(self, jobs: int) -> None:
        self._orphaned.inc(jobs)

    def unreadable(self, what: str) -> None:
        self._unreadable.labels(what).inc()
