"""Middleware in plain ASGI: request ids, API keys, and answers to requests that are refused."""

import hashlib
import hmac
import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api import problem
from service.errors import Unauthorized
from service.telemetry.logs import of_request

_PLAIN_ID = re.compile(r"[\x21-\x7e]{1,128}")


class RequestId:
    """Takes `X-Request-Id`, or makes one, and sends it back."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _PLAIN_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        with of_request(request_id):
            await self.app(scope, receive, send_with_id)


class Authentication:
    """Asks for `Authorization: Bearer` under the guarded paths but those that are `open`, where
    keys are configured.

    Only SHA-256 digests of keys are known; `state.owner` is the digest of the caller's.
    """

    def __init__(
        self,
        app: ASGIApp,
        digests: tuple[bytes, ...],
        guarded: tuple[str, ...],
        open: tuple[str, ...] = (),  # noqa: A002
    ) -> None:
        self.app = app
        self.digests = digests
        self.guarded, self.open = guarded, open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            owner = self._owner(Headers(scope=scope).get("authorization", ""))
            scope.setdefault("state", {})["owner"] = owner or ""
            if self.digests and owner is None and self._is_guarded(scope["path"]):
                error = Unauthorized("a valid API key is needed: Authorization: Bearer <key>")
                await problem.respond(error, HTTPConnection(scope))(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _is_guarded(self, path: str) -> bool:
        guarded = any(problem.is_under(path, root) for root in self.guarded)
        return guarded and path not in self.open

    def _owner(self, authorization: str) -> str | None:
        """Every digest is compared, each in constant time, so that timing tells nothing."""
        scheme, _, key = authorization.partition(" ")
        digest = hashlib.sha256(key.strip().encode("latin-1")).digest()
        matches = [hmac.compare_digest(digest, known) for known in self.digests]
        return digest.hex() if scheme.lower() == "bearer" and any(matches) else None


class Refusal:
    """Answers a request that the server refuses, or stops waiting for: `state["refusal"]` says
    why, before it begins or while its body arrives."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        if error := state.get("refusal"):
            await problem.respond(error, HTTPConnection(scope))(scope, receive, send)
            return

        async def receive_or_raise() -> Message:
            message = await receive()
            if error := state.get("refusal"):
                raise error
            return message

        await self.app(scope, receive_or_raise, send)
