"""The choice of tracing. A process without a collector of traces imports no library for them."""

import importlib
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Protocol

from service.errors import ServeError
from service.telemetry.tracing import Tracing
from service.urls import UrlError, collector_url

# Variables that name a collector: of all signals, and of traces alone.
ENVIRONMENT = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class _Spans(Protocol):
    def open_spans(self, endpoint: str, process: str) -> Tracing: ...


@contextmanager
def open_tracing(endpoint: str, process: str) -> Iterator[Tracing]:
    """Send traces by OTLP over HTTP to `endpoint`, or to the collector that the environment names;
    make none where neither names one. `process` says which kind this one is: api, worker or serve.

    Raises ServeError if traces are asked for and the extra `tracing` is not installed, and for a
    collector that is not a URL.
    """
    with closing(_open(endpoint, process)) as tracing:
        yield tracing


def _open(endpoint: str, process: str) -> Tracing:
    if not (endpoint or any(map(os.environ.get, ENVIRONMENT))):
        return Tracing()
    for name in ENVIRONMENT:
        # The library would log a URL that it cannot parse, password and all.
        if given := os.environ.get(name):
            try:
                collector_url(given)
            except UrlError as error:
                raise ServeError(f"{name} {error}") from None
    try:
        spans: _Spans = importlib.import_module("service.telemetry.spans")
    except ModuleNotFoundError as error:
        raise ServeError(
            "traces are asked for, and OpenTelemetry is not installed: "
            "pip install 'mulan-serve[tracing]'"
        ) from error
    return spans.open_spans(endpoint, process)
