"""Spans by OpenTelemetry: one for a request, and below it two for its job, its wait and its run."""

import logging
import os
import platform
import time
from collections.abc import Mapping
from importlib.metadata import version

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.re import parse_env_headers

from service.jobs import Job
from service.telemetry.observers import Ending, JobObserver
from service.telemetry.tracing import Span, Tracing

_NAME = "mulan"
_FIELD = "traceparent"
_PROPAGATOR = TraceContextTextMapPropagator()
_FAILURES: frozenset[Ending] = frozenset(("failed", "timed-out", "lost"))


def open_spans(endpoint: str, process: str) -> Tracing:
    """Make spans and send them in batches to `endpoint`, or to the collector that the environment
    names."""
    resource = Resource.create(
        {
            "service.name": f"{_NAME}-{process}",
            SERVICE_VERSION: version("mulan-serve"),
            SERVICE_INSTANCE_ID: f"{platform.node()}-{os.getpid()}",
        }
    )
    url = f"{endpoint.rstrip('/')}/v1/traces" if endpoint else None
    # This logger shows a header that it cannot parse, with the key in it.
    logging.getLogger(parse_env_headers.__module__).addFilter(_without_header)
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url)))
    return Spans(provider)


class Spans(Tracing):
    """Traces in a provider of this process's own; the library's global provider is left alone."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer(_NAME)
        self.jobs = JobSpans(self._tracer)

    def request(self, headers: Mapping[str, str]) -> Span:
        theirs = _PROPAGATOR.extract(headers)
        return RequestSpan(self._tracer.start_span("request", theirs, SpanKind.SERVER))

    def close(self) -> None:
        self._provider.shutdown()


class RequestSpan(Span):
    """The span of a request, from its arrival to its answer."""

    def __init__(self, span: OtelSpan) -> None:
        self._span = span
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, set_span_in_context(span, Context()))
        self.traceparent = carrier.get(_FIELD, "")

    def end(self, name: str, facts: Mapping[str, str | int], failed: bool) -> None:
        self._span.update_name(name)
        self._span.set_attributes(dict(facts))
        if failed:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class JobSpans(JobObserver):
    """Two spans for each job: `queue`, from its admission to its claim, and `run`, to the end of
    the worker's hold on it.

    All methods belong to one thread.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._runs: dict[str, OtelSpan] = {}

    def claimed(self, job: Job, waited: float) -> None:
        context, now = _PROPAGATOR.extract({_FIELD: job.trace}, Context()), time.time_ns()
        attributes = _about(job)
        waiting = self._tracer.start_span(
            "queue",
            context,
            SpanKind.CONSUMER,
            attributes,
            start_time=now - int(waited * 1e9),
        )
        waiting.end(now)
        run = self._tracer.start_span("run", context, SpanKind.CONSUMER, attributes, start_time=now)
        self._runs[job.id] = run

    def ended(self, job: Job, ending: Ending) -> None:
        if run := self._runs.pop(job.id, None):
            run.set_attribute("mulan.outcome", ending)
            if ending in _FAILURES:
                run.set_status(Status(StatusCode.ERROR))
            run.end()


def _without_header(record: logging.LogRecord) -> bool:
    record.msg = "a header for the collector is no name=value pair, and is left out"
    record.args = ()
    return True


def _about(job: Job) -> dict[str, str | int]:
    return {
        "mulan.job.id": job.id,
        "mulan.request.id": job.request_id,
        "mulan.job.kind": job.task.kind,
        "mulan.model": job.model,
        "mulan.solver": job.task.solver.name,
        "mulan.cost": job.cost,
    }
