"""Around everything else: how long each request took, and what came of it."""

import time
from asyncio import CancelledError
from collections.abc import Sequence

from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import BadRequest, Busy, ServiceError
from service.telemetry.http import CLIENT_LEFT, OK, UNMATCHED, HttpMetrics

_EVENTS = b"text/event-stream"


class Observation:
    """Tells `metrics` of every request; `routes` are the application's, in its order.

    `scope["state"]["problem"]` is what was answered instead, if anything was.
    """

    def __init__(self, app: ASGIApp, metrics: HttpMetrics, routes: Sequence[BaseRoute]) -> None:
        self.app, self.metrics = app, metrics
        self.routes = [route for route in routes if isinstance(route, Route)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        last_byte: float | None = None
        streams = False
        state = scope.setdefault("state", {})
        self.metrics.arrived()

        async def watched(message: Message) -> None:
            nonlocal last_byte, streams
            await send(message)
            if message["type"] == "http.response.start":
                streams = any(value.startswith(_EVENTS) for _, value in message["headers"])
            elif not message.get("more_body", False):
                last_byte = time.perf_counter()

        try:
            await self.app(scope, receive, watched)
        except BaseException as error:
            state.setdefault("problem", error)
            raise
        finally:
            seconds = (last_byte or time.perf_counter()) - began
            self._tell(scope, state.get("problem"), None if streams else seconds)

    def _tell(self, scope: Scope, problem: BaseException | None, seconds: float | None) -> None:
        endpoint, taken = self._endpoint(scope)
        if taken and scope["method"] == "POST" and _is_refusal(problem):
            self.metrics.refused(_outcome(problem))
        self.metrics.answered(endpoint, scope["method"], _outcome(problem), seconds)

    def _endpoint(self, scope: Scope) -> tuple[str, bool]:
        """The path's template, and whether it takes the method. Told also of what was refused
        before the application looked for it."""
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
    """What befell a job that was taken is none."""
    return isinstance(problem, BadRequest | Busy) and problem.job is None
