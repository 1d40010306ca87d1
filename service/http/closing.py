"""The end of connections whose clients still send, or have stopped sending."""

import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

# Seconds for a client to read an answer that it did not expect, before its connection is reset.
LINGER_S = 1.0
# Bytes that it may send meanwhile.
LINGER_BYTES = 1 << 20
# Seconds that a client which sends no more is taken to wait, and between looks whether it does.
LOOK_EVERY_S = 1.0
# Seconds for its machine to answer that nobody does.
_ECHO_S = 0.1
# Any client of HTTP/1.1 must be able to take it at any time before its answer (RFC 9110, 15.2).
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Lingering:
    """A transport that reads on for a while when it is closed: a reset, which unread bytes would
    provoke, could cost its client the answer (RFC 9112, section 9.6)."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._closing = False

    def write(self, data: bytes) -> None:
        """Send."""
        self._transport.write(data)

    def is_closing(self) -> bool:
        """Whether the end has begun."""
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        """Send no more, and soon read no more."""
        if not self.is_closing():
            self._closing = True
            self._transport.write_eof()
            self._loop.call_later(LINGER_S, self._transport.close)


def untaken(transport: asyncio.Transport) -> int:
    """Bytes of answers that have not reached the client. Those that the kernel has count: it tells
    of room by the megabyte, for which a slow client takes minutes."""
    connection: socket.socket = transport.get_extra_info("socket")
    (kept,) = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))
    return transport.get_write_buffer_size() + int(kept)


class Watch:
    """A watch on a client that sends no more: it may still wait for its answer.

    One that has closed its connection and one that has shut down its sending half look the same
    until something is sent to them: the machine of the first then answers with a reset. Sent is
    `100 Continue`, while the answer has not begun. A client of HTTP/1.0 may get none; it is taken
    to have left. `running` tells what is being answered.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        running: Callable[[], RequestResponseCycle | None],
    ) -> None:
        self._transport, self._loop, self._running = transport, loop, running
        self._timer = loop.call_later(LOOK_EVERY_S, self._look)

    def end(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self) -> None:
        cycle = self._running()
        if cycle is None or cycle.response_complete or self._transport.is_closing():
            return
        if cycle.response_started:
            self._timer = self._loop.call_later(LOOK_EVERY_S, self._look)
        elif cycle.scope["http_version"] == "1.0":
            self._transport.close()
        else:
            self._transport.write(_CONTINUE)
            self._timer = self._loop.call_later(_ECHO_S, self._hear)

    def _hear(self) -> None:
        connection: socket.socket = self._transport.get_extra_info("socket")
        if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._transport.abort()
        else:
            self._timer = self._loop.call_later(LOOK_EVERY_S, self._look)
