"""The registry of a process. Two processes in one interpreter, as in tests, share no metric."""

import platform
from importlib.metadata import version

import prometheus_client
from prometheus_client import CollectorRegistry, Info, ProcessCollector, generate_latest

PREFIX = "mulan"
CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
# Upper bounds of the buckets of durations, in seconds: from a millisecond to ten minutes.
SECONDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
)

# The client would add a series with the time of creation to each counter and histogram.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


def new_registry() -> CollectorRegistry:
    """Make a registry with the metrics of the build and of the operating system's process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    build = Info(
        "build", "The version of the service, and of Python.", namespace=PREFIX, registry=registry
    )
    build.info({"version": version("mulan-serve"), "python": platform.python_version()})
    return registry


def exposition(registry: CollectorRegistry) -> bytes:
    """Return all metrics in Prometheus' text format, of media type `CONTENT_TYPE`."""
    return generate_latest(registry)
