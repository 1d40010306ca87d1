"""The outermost middleware measures how long each request took, and how it was answered."""

import logging
import time
from asyncio import CancelledError
from collections.abc import Sequence
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import BadRequest, Busy, ServiceError
from service.telemetry.http import CLIENT_LEFT, OK, UNMATCHED, HttpMetrics, method_label
from service.telemetry.tracing import Span, Tracing

logger = logging.getLogger("mulan.access")

# Asked for every few seconds, by machines.
_QUIET = frozenset(("/livez", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"))
_LONGEST_PATH = 200
_SERVER_ERROR = 500
# By OpenTelemetry's conventions, where it has one.
_ATTRIBUTES = {
    "method": "http.request.method",
    "endpoint": "http.route",
    "status": "http.response.status_code",
    "outcome": "mulan.outcome",
    "request_id": "mulan.request.id",
    "job_id": "mulan.job.id",
}
_EVENTS = b"text/event-stream"


class Exchange:
    """The answer to one request so far. A request without an answer has failed."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.status = _SERVER_ERROR
        self.streams = False
        self._ended: float | None = None

    def sent(self, message: Message) -> None:
        """A part of the answer is on its way."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.streams = any(value.startswith(_EVENTS) for _, value in message["headers"])
        elif not message.get("more_body", False):
            self._ended = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds from the request's arrival to the last byte of its answer, or until now."""
        return (self._ended or time.perf_counter()) - self.began


class Observation:
    """Tells metrics, log and traces of every request; `routes` are the application's, in its order.

    `scope["state"]` is read: `problem` is what was answered instead, if anything was, `request_id`
    and `job_id` what it was about; `trace` is written, for the job that may come of it.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: HttpMetrics,
        tracing: Tracing,
        routes: Sequence[BaseRoute],
    ) -> None:
        self.app, self.metrics, self.tracing = app, metrics, tracing
        self.routes = [route for route in routes if isinstance(route, Route)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = Exchange()
        state = scope.setdefault("state", {})
        quiet = scope["path"] in _QUIET
        span = Span() if quiet else self.tracing.request(Headers(scope=scope))
        state["trace"] = span.traceparent
        self.metrics.arrived()

        async def watched(message: Message) -> None:
            await send(message)
            exchange.sent(message)

        try:
            await self.app(scope, receive, watched)
        except BaseException as error:
            state.setdefault("problem", error)
            raise
        finally:
            self._tell(scope, exchange, span)

    def _tell(self, scope: Scope, exchange: Exchange, span: Span) -> None:
        endpoint, taken = self._endpoint(scope)
        method, state = method_label(scope["method"]), scope["state"]
        problem, seconds = state.get("problem"), exchange.seconds
        outcome = _outcome(problem)
        if taken and method == "POST" and _is_refusal(problem):
            self.metrics.refused(outcome)
        self.metrics.answered(endpoint, method, outcome, None if exchange.streams else seconds)
        facts = {
            "method": method,
            "endpoint": endpoint,
            "status": exchange.status,
            "outcome": outcome,
            **{name: state[name] for name in ("request_id", "job_id") if name in state},
        }
        is_everyday = endpoint in _QUIET and not isinstance(problem, BadRequest)
        level = logging.DEBUG if is_everyday else logging.INFO
        words = "%s %s %s", method, endpoint, exchange.status
        if logger.isEnabledFor(level):
            path = quote(scope["path"][:_LONGEST_PATH], errors="replace")
            more = {"seconds": round(seconds, 6), "path": path}
            logger.log(level, *words, extra=facts | more)
        failed = exchange.status >= _SERVER_ERROR
        span.end(f"{method} {endpoint}", {_ATTRIBUTES[name]: facts[name] for name in facts}, failed)

    def _endpoint(self, scope: Scope) -> tuple[str, bool]:
        """The path's template, and whether it takes the method. Looked for here where a request was
        refused before the application did."""
        if isinstance(route := scope.get("route"), Route):
            return route.path, scope["method"] in (route.methods or ())
        found = UNMATCHED
        for route in self.routes:
            match, _ = route.matches(scope)
            if match is Match.FULL:
                return route.path, True
            if match is Match.PARTIAL:
                found = route.path
        return found, False


def _outcome(problem: BaseException | None) -> str:
    match problem:
        case None:
            return OK
        case ServiceError():
            return problem.code
        case ClientDisconnect() | CancelledError():
            return CLIENT_LEFT
        case _:
            return ServiceError.code


def _is_refusal(problem: BaseException | None) -> bool:
    """Whether the problem refuses a request before it became a job."""
    return isinstance(problem, BadRequest | Busy) and problem.job is None
