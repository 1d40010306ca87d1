"""Requests, as their clients meet them."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.telemetry.registry import PREFIX, SECONDS

OK, CLIENT_LEFT, UNMATCHED, OTHER = "ok", "client-left", "unmatched", "other"
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


def method_label(method: str) -> str:
    """A method that HTTP knows, or `other`."""
    return method if method in METHODS else OTHER


class HttpMetrics:
    """Of one API. Labels are routes, methods and codes of ours, never what a client wrote."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "http_requests_total",
            "Requests answered: ok, the code of a problem, or client-left.",
            ("endpoint", "method", "outcome"),
            namespace=PREFIX,
            registry=registry,
        )
        self._seconds = Histogram(
            "http_request_seconds",
            "From a request's arrival to the last byte of its answer; streams of events apart.",
            ("endpoint",),
            namespace=PREFIX,
            registry=registry,
            buckets=SECONDS,
        )
        self._in_flight = Gauge(
            "http_requests_in_flight",
            "Requests that are being answered, streams of events among them.",
            namespace=PREFIX,
            registry=registry,
        )
        self._rejections = Counter(
            "rejections_total",
            "Work that was refused before it cost anything.",
            ("code",),
            namespace=PREFIX,
            registry=registry,
        )

    def arrived(self) -> None:
        """A request came."""
        self._in_flight.inc()

    def answered(self, endpoint: str, method: str, outcome: str, seconds: float | None) -> None:
        """It has its answer, after so long; None for a stream, which lasts as long as it is
        watched."""
        self._in_flight.dec()
        self._requests.labels(endpoint, method, outcome).inc()
        if seconds is not None:
            self._seconds.labels(endpoint).observe(seconds)

    def refused(self, code: str) -> None:
        """Work was asked for and not taken."""
        self._rejections.labels(code).inc()
