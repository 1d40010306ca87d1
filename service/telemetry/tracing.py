"""The interface to traces, by which a process tells of requests and jobs. Here it does nothing."""

from collections.abc import Mapping

from service.telemetry.observers import JobObserver


class Span:
    """The span of one request. `traceparent` (W3C Trace Context) names it to processes that go on
    with the trace; it is empty where there is no span."""

    traceparent = ""

    def end(self, name: str, facts: Mapping[str, str | int], failed: bool) -> None:
        """End the span under this name, with these attributes: the request has been answered."""


class Tracing:
    """The traces of one process. `jobs` observes the jobs of its worker, if it has one."""

    jobs: JobObserver = JobObserver()

    def request(self, headers: Mapping[str, str]) -> Span:
        """Begin a request's span, as a part of the trace that its headers name, if they do."""
        return Span()

    def close(self) -> None:
        """Send the spans that are left."""
