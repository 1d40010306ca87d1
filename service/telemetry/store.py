"""The way to Redis, and what its sweeps found."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.telemetry.observers import StoreObserver
from service.telemetry.registry import PREFIX, SECONDS


class StoreMetrics(StoreObserver):
    """Of one process's store; the one in memory, which has no way to go, is always up."""

    def __init__(self, registry: CollectorRegistry, up: bool = False) -> None:
        self._seconds = Histogram(
            "store_round_trip_seconds",
            "From a question to Redis until its answer.",
            ("operation",),
            namespace=PREFIX,
            registry=registry,
            buckets=SECONDS,
        )
        self._errors = Counter(
            "store_errors_total",
            "Questions that Redis did not answer, or refused.",
            ("operation",),
            namespace=PREFIX,
            registry=registry,
        )
        self._up = Gauge(
            "store_up",
            "Whether the last question was answered.",
            namespace=PREFIX,
            registry=registry,
        )
        self._redeliveries = Counter(
            "redeliveries_total",
            "Jobs taken back from silent workers by this process's sweeps.",
            namespace=PREFIX,
            registry=registry,
        )
        self._given_up = Counter(
            "jobs_given_up_total",
            "Jobs given up by this process's sweeps.",
            namespace=PREFIX,
            registry=registry,
        )
        self._up.set(up)

    def round_trip(self, operation: str, seconds: float) -> None:
        self._seconds.labels(operation).observe(seconds)
        self._up.set(1)

    def unreachable(self, operation: str, seconds: float) -> None:
        self._errors.labels(operation).inc()
        self._up.set(0)

    def swept(self, redelivered: int, buried: int) -> None:
        self._redeliveries.inc(redelivered)
        self._given_up.inc(buried)
