"""Bounds on the bytes of request bodies in memory: of each, and of all that are not yet jobs."""

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api import problem
from service.errors import QueueFull, TooLarge

# Bytes: smaller bodies always have room, and their number is that of connections.
_SMALL = 1 << 16
_RETRY_S = 2


class Held:
    """The bytes of one request's body, counted towards the bound for all."""

    def __init__(self, limit: "BodyLimit") -> None:
        self._limit, self._bytes = limit, 0

    def grow(self, size: int) -> None:
        """Have `size` bytes. Raises QueueFull; who is alone may have any size."""
        others = self._limit.held - self._bytes
        if others and others + size > self._limit.most_held:
            raise QueueFull(
                f"the bodies of other requests have {others} bytes, of at most "
                f"{self._limit.most_held} in all",
                _RETRY_S,
            )
        self._limit.held, self._bytes = others + size, size

    def release(self) -> None:
        """Have none: what was asked for is a job now, or nothing."""
        self._limit.held -= self._bytes
        self._bytes = 0


class BodyLimit:
    """Refuses bodies of more than `limit` bytes: by Content-Length, and by a count as they come;
    and bodies of more than 64 KiB while those of other requests are too many, `most_held` bytes
    in all."""

    def __init__(self, app: ASGIApp, limit: int, most_held: int) -> None:
        self.app, self.limit, self.most_held = app, limit, most_held
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdecimal() and int(declared[:20]) > self.limit:
            error = self._too_large(f"{declared[:20]} bytes")
            await problem.respond(error, HTTPConnection(scope))(scope, receive, send)
            return
        held = scope["state"]["held"] = Held(self)
        received = 0

        async def count() -> Message:
            nonlocal received
            message = await receive()
            if body := message.get("body"):
                received += len(body)
                if received > self.limit:
                    raise self._too_large("more")
                if received > _SMALL:
                    held.grow(received)
            return message

        try:
            await self.app(scope, count, send)
        finally:
            held.release()

    def _too_large(self, size: str) -> TooLarge:
        return TooLarge("body-too-large", f"the body has {size}; at most {self.limit} bytes")


def release_body(request: Request) -> None:
    """Tell that a request's body is no longer in memory."""
    held: Held = request.state.held
    held.release()
