"""Metrics of calls to the URLs that jobs name."""

from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Histogram

from service.telemetry.registry import PREFIX, SECONDS

# The end of one attempt; `given-up` counts once more for a call whose attempts are used up.
Ending = Literal["delivered", "rejected", "unreachable", "forbidden", "given-up"]
ENDINGS: tuple[Ending, ...] = ("delivered", "rejected", "unreachable", "forbidden", "given-up")


class CallbackMetrics:
    """Metrics of the calls of one process. Labels never have a host or a URL."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._attempts = Counter(
            "callbacks_total",
            "Attempts to tell a job's end to its callback_url, by outcome; and calls given up.",
            ("outcome",),
            namespace=PREFIX,
            registry=registry,
        )
        self._seconds = Histogram(
            "callback_seconds",
            "Time of one attempt, from resolving the host to the receiver's answer.",
            namespace=PREFIX,
            registry=registry,
            buckets=SECONDS,
        )
        for ending in ENDINGS:
            self._attempts.labels(ending)

    def attempted(self, ending: Ending, seconds: float) -> None:
        """Count one attempt."""
        self._attempts.labels(ending).inc()
        self._seconds.observe(seconds)

    def gave_up(self) -> None:
        """Count a call that is not attempted again."""
        self._attempts.labels("given-up").inc()
