"""Traces: one for each request, over the queue to its worker. Without a collector to send them to
nothing is made of them, and no module that makes spans is imported."""

import importlib
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Protocol

from service.errors import ServeError
from service.telemetry.observers import JobObserver
from service.urls import UrlError, collector_url

# Of any signal, and of traces alone.
ENVIRONMENT = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Span:
    """Of one request, and none. `traceparent` (W3C Trace Context) names it to whoever goes on."""

    traceparent = ""

    def end(self, name: str, facts: Mapping[str, str | int], failed: bool) -> None:
        """The request has been answered."""


class Tracing:
    """Of one process, and none."""

    jobs: JobObserver = JobObserver()

    def request(self, headers: Mapping[str, str]) -> Span:
        """A request came; it may be part of a trace of its client's."""
        return Span()

    def close(self) -> None:
        """Send what is left."""


class _Spans(Protocol):
    def open_spans(self, endpoint: str, process: str) -> Tracing: ...


@contextmanager
def open_tracing(endpoint: str, process: str) -> Iterator[Tracing]:
    """By OTLP over HTTP to `endpoint`, or to what the environment names; to nobody without either.
    `process` is what kind this one is: api, worker or serve.

    Raises ServeError where the extra `tracing` is not installed, and for what is no URL.
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
