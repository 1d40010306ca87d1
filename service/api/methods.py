"""HTTP methods of a path. HEAD is answered where GET is."""

from collections.abc import Iterable, Sequence

from fastapi.routing import APIRoute
from sse_starlette import EventSourceResponse
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Head:
    """Answers HEAD as GET, without the body; but for streams of events, whose GET has no end."""

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self.app = app
        self.streams = [route for route in routes if _is_stream(route)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("method") != "HEAD" or _matching(self.streams, scope):
            await self.app(scope, receive, send)
            return
        asked = {**scope, "method": "GET"}

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self.app(asked, receive, send_without_body)
        finally:
            scope["route"] = asked.get("route")


def allowed(routes: Sequence[BaseRoute], scope: Scope) -> str:
    """The methods that a path takes, as `Allow` has them."""
    methods = set[str]()
    for route in _matching(routes, scope):
        methods |= route.methods or set()
        if "GET" in methods and not _is_stream(route):
            methods.add("HEAD")
    return ", ".join(sorted(methods))


def _matching(routes: Iterable[BaseRoute], scope: Scope) -> list[Route]:
    """Return the routes of the path, whatever the method."""
    return [
        route
        for route in routes
        if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE
    ]


def _is_stream(route: BaseRoute) -> bool:
    return isinstance(route, APIRoute) and route.response_class is EventSourceResponse
