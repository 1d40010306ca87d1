"""A proxy before a server on loopback, which ends TLS, or is cut as a network is."""

import asyncio
import contextlib
import socket
import ssl
import threading
from contextlib import AbstractContextManager
from types import TracebackType

TLS_HANDSHAKE = b"\x16"
CHUNK = 65_536


class Proxy(AbstractContextManager["Proxy"]):
    """Passes connections on to a port, without TLS; those that it takes are over TLS if it has a
    context. One that `takes_plain` takes both kinds, as Sentinels that speak no TLS need it.

    While it is `cut`, nothing comes through and nothing is closed: connections are silent, new ones
    too. What was sent meanwhile comes through when it is healed, as by TCP.
    """

    def __init__(
        self, to: int, tls: ssl.SSLContext | None = None, takes_plain: bool = False
    ) -> None:
        self._to, self._tls, self._takes_plain = to, tls, takes_plain
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._open, self._passing = asyncio.Event(), set[asyncio.Task[None]]()
        self._open.set()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Proxy":
        self._accepting = self._loop.create_task(self._accept())
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._accepting.cancel)
        self._thread.join()

    def cut(self) -> None:
        """Let nothing through from now on."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def heal(self) -> None:
        """Let everything through again."""
        self._loop.call_soon_threadsafe(self._open.set)

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._accepting)
        self._loop.close()

    async def _accept(self) -> None:
        try:
            while True:
                taken, _ = await self._loop.sock_accept(self._listener)
                passing = self._loop.create_task(self._pass_on(taken))
                self._passing.add(passing)
                passing.add_done_callback(self._passing.discard)
        finally:
            self._listener.close()
            for passing in self._passing:
                passing.cancel()
            await asyncio.gather(*self._passing, return_exceptions=True)

    async def _pass_on(self, taken: socket.socket) -> None:
        writers = list[asyncio.StreamWriter]()
        with contextlib.suppress(OSError):
            try:
                await self._open.wait()
                tls = self._tls if self._tls and await self._begins_tls(taken) else None
                near, one = await _streams(self._loop, taken, tls)
                writers.append(one)
                far, other = await asyncio.open_connection("127.0.0.1", self._to)
                writers.append(other)
                pumps = {
                    self._loop.create_task(self._pump(*ends))
                    for ends in ((near, other), (far, one))
                }
                try:
                    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for pump in pumps:
                        pump.cancel()
                    await asyncio.gather(*pumps, return_exceptions=True)
            finally:
                for writer in writers:
                    writer.transport.abort()
                taken.close()

    async def _begins_tls(self, taken: socket.socket) -> bool:
        """Whether a connection is one over TLS, where both kinds are taken."""
        if not self._takes_plain:
            return True
        readable = self._loop.create_future()
        self._loop.add_reader(taken, lambda: readable.done() or readable.set_result(None))
        try:
            await readable
        finally:
            self._loop.remove_reader(taken)
        return taken.recv(1, socket.MSG_PEEK) == TLS_HANDSHAKE

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK):
            await self._open.wait()
            sink.write(data)
            await sink.drain()
        await self._open.wait()


async def _streams(
    loop: asyncio.AbstractEventLoop, taken: socket.socket, tls: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The two ends of a connection that was taken."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, taken, ssl=tls)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)
