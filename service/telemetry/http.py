"""Metrics of HTTP requests, as their clients see them."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.telemetry.registry import PREFIX, SECONDS

OK, CLIENT_LEFT, UNMATCHED, OTHER = "ok", "client-left", "unmatched", "other"
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


def method_label(method: str) -> str:
    """Return a method that HTTP knows, or `other` for any other."""
    return method if method in METHODS else OTHER


class HttpMetrics:
    """Metrics of one API. Labels are its routes, methods and codes, never words of a client."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "http_requests_total",
            "Requests that were answered, by outcome: ok, the code of a problem, or client-left.",
            ("endpoint", "method", "outcome"),
            namespace=PREFIX,
            registry=registry,
        )
        self._seconds = Histogram(
            "http_request_seconds",
            "Time from a request to the last byte of its answer; event streams do not count.",
            ("endpoint",),
            namespace=PREFIX,
            registry=registry,
            buckets=SECONDS,
        )
        self._in_flight = Gauge(
            "http_requests_in_flight",
            "Requests that are being answered, event streams included.",
            namespace=PREFIX,
            registry=registry,
        )
        self._rejections = Counter(
            "rejections_total",
            "Requests for work that were refused, by the code of the problem.",
            ("code",),
            namespace=PREFIX,
            registry=registry,
        )

    def arrived(self) -> None:
        """Count a request that has arrived."""
        self._in_flight.inc()

    def answered(self, endpoint: str, method: str, outcome: str, seconds: float | None) -> None:
        """Count a request that has been answered. `seconds` is the time to its answer, or None for
        an event stream, which lasts as long as it is watched."""
        self._in_flight.dec()
        self._requests.labels(endpoint, method, outcome).inc()
        if seconds is not None:
            self._seconds.labels(endpoint).observe(seconds)

    def refused(self, code: str) -> None:
        """Count work that was asked for and not admitted."""
        self._rejections.labels(code).inc()
