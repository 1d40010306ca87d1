"""One connection: bytes into requests, within bounds, whatever the client does.

The parser is llhttp, which is strict and fast and bounds nothing. Counted here, before a request
exists: bytes and lines of its head, and whatever else is no body. A request that cannot be taken
goes to the application all the same, with the error under `state["refusal"]`, so that every answer
is made, logged and counted in one place.
"""

import asyncio
import logging
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.errors import Draining, MalformedRequest, RateLimited, RequestTimeout, ServiceError
from service.http import head
from service.http.arrivals import Phase
from service.http.closing import LINGER_BYTES, Lingering, Watch
from service.http.config import Config

logger = logging.getLogger(__name__)

# Bytes around the data of a chunk that do not count: its size, in hexadecimal, and line ends.
_CHUNK_BYTES = 20
# Requests that may be sent ahead of their answers.
_MOST_AHEAD = 100


class Connection(HttpToolsProtocol):
    """Reads requests off a connection and has them answered in their order.

    An `Upgrade` is ignored, as RFC 9110 (section 7.8) allows: the request is answered as it is. A
    client that shuts down its sending half still has its answers.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.arrivals = config.arrivals
        self.phase = Phase.IDLE
        self.expected: Phase | None = None
        # The request that is being answered; those in `pipeline` wait for their turn, and `cycle`
        # is the latest of all.
        self.running: RequestResponseCycle | None = None
        # Of the request that arrives: bytes and lines of its header and trailers, and bytes of
        # all that is no body.
        self.head_bytes = self.head_lines = self.other_bytes = 0
        self.fault: ServiceError | None = None
        self.refused, self.discarded = False, 0
        self.watch: Watch | None = None

    # What the transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request."""
        super().connection_made(cast(asyncio.Transport, transport))
        self.sending = Lingering(self.transport, self.loop)
        self._expect(Phase.HEADER)

    def data_received(self, data: bytes) -> None:
        """Parse; have answered what is whole, refuse what never will be."""
        if self._is_ending():
            self.discarded += len(data)
            if self.discarded > LINGER_BYTES:
                self.transport.abort()
            return
        self._unset_keepalive_if_required()
        while data:
            data = self._feed(data)
        self._wait()

    # Asyncio asks for a bool, and uvicorn's class promises none.
    def eof_received(self) -> Any:
        """The client sends no more. Whether it may still wait for an answer."""
        if self._is_ending() or self.phase is not Phase.IDLE or not self._is_answering():
            return False
        self.cycle.keep_alive = False
        self.watch = Watch(self.transport, self.loop, lambda: self.running)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever works on an answer."""
        self.arrivals.arrived(self)
        self.pipeline.clear()
        if self.watch is not None:
            self.watch.end()
        if self.running is not None and not self.running.response_complete:
            self.running.disconnected = True
            self.running.message_event.set()
        super().connection_lost(exc)

    # What the parser finds.

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.phase, self.expected = Phase.HEADER, None
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
        """Its header is whole. With an `Upgrade`, the parser stops, and another begins again."""
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
        self._begin(self._cycle(path, query, keep_alive))

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

    # What arrivals and answers tell.

    def on_response_complete(self) -> None:
        """Turn to the next request, if this was not the last."""
        if not self.sending.is_closing():
            super().on_response_complete()
        self._wait()

    def give_up(self, how: str) -> None:
        """Wait no longer for the rest of a request; a connection without one is just closed."""
        if self.phase is Phase.IDLE:
            self.transport.close()
        else:
            reason = f"the {self.phase.value} of the request did not arrive {how}"
            self.refuse(RequestTimeout(reason))

    def drain(self, error: Draining) -> None:
        """Refuse the request whose body is still arriving, if there is one."""
        if self.phase is Phase.BODY and not self.cycle.response_complete:
            self.refuse(error)

    def refuse(self, error: ServiceError) -> None:
        """Answer the request that arrives with a problem, in its turn, and close."""
        self.refused = True
        self.arrivals.arrived(self)
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        if self.phase is not Phase.BODY:
            cycle = self._refusal(error)
            self._begin(cycle)
        else:
            cycle = self.cycle
            if not cycle.response_started:
                cycle.scope["state"]["refusal"] = error
                cycle.message_event.set()
        cycle.keep_alive = False
        if cycle.response_complete:
            self.sending.close()

    # Requests.

    def _feed(self, data: bytes) -> bytes:
        """What is left to parse: nothing, unless there was an `Upgrade`."""
        self.other_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return self._without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self.refuse(self._reason(error))
            return b""
        self.other_bytes = max(self.other_bytes, 0)
        if self.other_bytes > head.MOST_BYTES:
            self.refuse(head.too_large())
        return b""

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

    def _count(self, size: int) -> None:
        self.head_bytes += size
        if self.head_bytes > head.MOST_BYTES or self.head_lines > head.MOST_LINES:
            self.fault = head.too_large()
            raise self.fault

    def _refusal(self, error: ServiceError) -> RequestResponseCycle:
        """A request of which only a part is known, or nothing."""
        if self.phase is Phase.IDLE:
            self.on_message_begin()
        self.scope["state"]["refusal"] = error
        try:
            path, query = head.split(self.url if self.headers else b"/")
        except MalformedRequest:
            path, query = b"/", b""
        return self._cycle(path, query, keep_alive=False)

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

    def _begin(self, cycle: RequestResponseCycle) -> None:
        """Have it answered, after those before it."""
        is_answering, self.cycle = self._is_answering(), cycle
        if is_answering:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))
        else:
            self._start_asgi_task(cycle, self.app)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.running = cycle
        super()._start_asgi_task(cycle, app)

    def _is_ending(self) -> bool:
        return self.refused or self.sending.is_closing()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    # Waiting.

    def _wait(self) -> None:
        """Have arrivals wait for what the client owes, unless it is it who waits."""
        if self._is_ending():
            self.arrivals.arrived(self)
        elif self.phase is Phase.BODY and self.running is self.cycle:
            self._expect(Phase.BODY)
        elif self._is_answering():
            self.expected = None
            self.arrivals.arrived(self)
        else:
            self._expect(self.phase)

    def _expect(self, phase: Phase) -> None:
        if phase is not self.expected:
            self.expected = phase
            self.arrivals.expect(self, phase, self.loop.time())
