"""Bytes into requests, within bounds.

The parser is llhttp, which is strict and fast and bounds nothing. Counted here, before a request
exists: bytes and lines of its header, and whatever else is no body.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from typing import cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.errors import MalformedRequest, RateLimited, ServiceError
from service.http import head
from service.http.arrivals import Phase
from service.http.closing import Lingering
from service.http.config import Config

logger = logging.getLogger(__name__)

# Bytes around the data of a chunk that do not count: its size, in hexadecimal, and line ends.
_CHUNK_BYTES = 20
# Requests that may be sent ahead of their answers.
_MOST_AHEAD = 100


class Reading(HttpToolsProtocol, ABC):
    """Finds the requests in what a connection receives.

    An `Upgrade` is ignored, as RFC 9110 (section 7.8) allows: the request is read as it is. One
    that cannot be taken is a request all the same, with the error under `state["refusal"]`, so that
    every answer is made, logged and counted in one place.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.phase = Phase.IDLE
        # Of the request that arrives: bytes and lines of its header and trailers, and bytes of
        # all that is no body.
        self.head_bytes = self.head_lines = self.other_bytes = 0
        self.fault: ServiceError | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send by way of `sending`."""
        super().connection_made(cast(asyncio.Transport, transport))
        self.sending = Lingering(self.transport, self.loop)

    @abstractmethod
    def refuse(self, error: ServiceError) -> None:
        """Answer the request that arrives with a problem, and read no more."""

    @abstractmethod
    def begin(self, cycle: RequestResponseCycle) -> None:
        """Have a request answered, after those before it."""

    def feed(self, data: bytes) -> None:
        """Parse what has come."""
        while data:
            self.other_bytes += len(data)
            try:
                self.parser.feed_data(data)
                data = b""
            except httptools.HttpParserUpgrade as upgrade:
                data = self._without_upgrade(data[upgrade.args[0] :])
            except httptools.HttpParserError as error:
                self.refuse(self._reason(error))
                return
        self.other_bytes = max(self.other_bytes, 0)
        if self.other_bytes > head.MOST_BYTES:
            self.refuse(head.too_large())

    def refusal(self, error: ServiceError) -> RequestResponseCycle:
        """A request of which only a part has been read, or nothing."""
        if self.phase is Phase.IDLE:
            self.on_message_begin()
        self.scope["state"]["refusal"] = error
        try:
            path, query = head.split(self.url if self.headers else b"/")
        except MalformedRequest:
            path, query = b"/", b""
        return self._cycle(path, query, keep_alive=False)

    # What the parser finds.

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.phase = Phase.HEADER
        self.head_bytes = self.head_lines = 0

    def on_url(self, url: bytes) -> None:
        """A piece of its target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A line of its header, or a trailer, which nobody asks for."""
        self.head_lines += 1
        self._count(len(name) + len(value))
        if self.phase is Phase.HEADER:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Handle a request whose header is complete. At an `Upgrade` the parser stops, and another
        one begins."""
        if self.parser.should_upgrade():
            return
        version = self.parser.get_http_version()
        try:
            head.check(version, self.headers)
            path, query = head.split(self.url)
            if len(self.pipeline) >= _MOST_AHEAD:
                raise RateLimited(f"more than {_MOST_AHEAD} requests were sent ahead")
        except ServiceError as fault:
            self.fault = fault
            raise
        self.phase = Phase.BODY
        self.scope["http_version"] = version
        keep_alive = version != "1.0" and self.parser.should_keep_alive()
        self.begin(self._cycle(path, query, keep_alive))

    def on_chunk_header(self) -> None:
        """A chunk of its body begins."""
        self.other_bytes -= _CHUNK_BYTES

    def on_body(self, body: bytes) -> None:
        """A piece of its body."""
        self.other_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if not self.parser.should_upgrade():
            super().on_message_complete()
            self.phase, self.other_bytes = Phase.IDLE, 0

    def _count(self, size: int) -> None:
        self.head_bytes += size
        if self.head_bytes > head.MOST_BYTES or self.head_lines > head.MOST_LINES:
            self.fault = head.too_large()
            raise self.fault

    def _without_upgrade(self, rest: bytes) -> bytes:
        """The request as one that asks for no other protocol, to be parsed anew, and the bytes
        after its header: the parser has taken them for the other protocol's."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            self.refuse(MalformedRequest("CONNECT is for proxies, and this is none"))
            return b""
        version = self.parser.get_http_version().encode()
        kept = (b"%b: %b\r\n" % line for line in self.headers if line[0] != b"upgrade")
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.other_bytes = 0
        return b"%b %b HTTP/%b\r\n%b\r\n%b" % (method, self.url, version, b"".join(kept), rest)

    def _reason(self, error: httptools.HttpParserError) -> ServiceError:
        if self.fault is not None:
            return self.fault
        if isinstance(error, httptools.HttpParserCallbackError):
            logger.error("a request could not be read", exc_info=error)
            return ServiceError("an error of ours; see the log")
        return MalformedRequest(f"not a request of HTTP/1.1: {error}")

    def _cycle(self, path: bytes, query: bytes, keep_alive: bool) -> RequestResponseCycle:
        """The request that arrives, and what will be its answer."""
        self.scope["method"] = self.parser.get_method().decode() if self.url else ""
        self.scope["path"] = unquote(path.decode("ascii"))
        self.scope["raw_path"], self.scope["query_string"] = path, query
        return RequestResponseCycle(
            scope=self.scope,
            transport=cast(asyncio.Transport, self.sending),
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )
