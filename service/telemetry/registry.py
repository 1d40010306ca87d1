"""A registry for each process: two in one interpreter, as in the tests, share no number."""

import platform
from importlib.metadata import version

import prometheus_client
from prometheus_client import CollectorRegistry, Info, ProcessCollector, generate_latest

PREFIX = "mulan"
CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
# Seconds, from a millisecond to ten minutes.
SECONDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
)

# When each series began: a second series beside every one, which nobody asks for.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


def new_registry() -> CollectorRegistry:
    """One that knows the build and the process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    build = Info("build", "What runs here.", namespace=PREFIX, registry=registry)
    build.info({"version": version("mulan-serve"), "python": platform.python_version()})
    return registry


def exposition(registry: CollectorRegistry) -> bytes:
    """All of it as Prometheus reads it, of media type `CONTENT_TYPE`."""
    return generate_latest(registry)
