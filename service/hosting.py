"""A process that answers HTTP: it listens, works, and drains.

The port answers before the work is ready: /livez at once, /readyz when it is. On SIGTERM or SIGINT
/readyz turns first, nobody is let in, running work may end within `drain_s`, and the process exits
0; a second signal does not wait.
"""

import asyncio
import logging
import signal
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress

import uvloop

from service.api.app import create_app
from service.api.context import Context
from service.errors import ServeError
from service.http.config import FLUSH_S
from service.http.server import Server

logger = logging.getLogger(__name__)


class Process(ABC):
    """The parts that every such process has, and the order of its life; `began` is when it did, on
    the monotonic clock."""

    def __init__(self, context: Context, listener: socket.socket, began: float) -> None:
        self.settings, self.gate, self.catalogue = context.settings, context.gate, context.catalogue
        self.store, self.metrics, self.tracing = context.store, context.metrics, context.tracing
        self.listener, self.began = listener, began
        self.server = Server(create_app(context), context.settings, context.gate)
        self.stopping = asyncio.Event()

    @abstractmethod
    async def work(self) -> None:
        """What goes on beside answering. Ends by itself only with an error, or when stopping."""

    @abstractmethod
    async def finish(self) -> None:
        """After the last request has left."""

    @property
    def drain_s(self) -> float:
        """How long requests may take to leave."""
        return self.settings.drain_s

    async def run(self) -> None:
        """From listening to the last answer. Raises ServeError."""
        on_signals(self._on_signal)
        serving = asyncio.create_task(self.server.serve([self.listener]))
        working = asyncio.create_task(self.work())
        stopping = asyncio.create_task(self.stopping.wait())
        await asyncio.wait({serving, working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        self.stopping.set()
        await self._drain()
        self.server.should_exit = True
        await serving
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working

    def open(self) -> None:
        """Let requests in."""
        self.gate.open()
        served = ", ".join(f"{model.name} on {model.execution}" for model in self.catalogue)
        elapsed = time.monotonic() - self.began
        logger.info("ready after %.1f s: %s serves %s", elapsed, self.url, served)

    async def count(self) -> None:
        """Tell the metrics how the queue stands. Raises StoreUnavailable."""
        load = await self.store.load()
        self.metrics.queue.saw(load.jobs, load.running, load.cost, load.drain_rate, load.letters)

    @property
    def url(self) -> str:
        """Where it listens."""
        return url_of(self.listener)

    async def _drain(self) -> None:
        """Let running work end in time, then send home who still waits."""
        self.gate.drain()
        logger.info("stopping")
        with suppress(TimeoutError):
            await asyncio.wait_for(self.gate.idle(), self.drain_s)
        self.gate.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.gate.idle(), FLUSH_S)
        await self.finish()

    def _on_signal(self) -> None:
        if self.stopping.is_set():
            self.gate.close()
            self.server.force_exit = True
        self.stopping.set()


def url_of(listener: socket.socket) -> str:
    """Where a socket listens."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def on_signals(act: Callable[[], None]) -> None:
    """Have SIGTERM and SIGINT call `act` in the running loop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, act)


def runner() -> asyncio.Runner:
    """The event loop of every process."""
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def listen(host: str, port: int) -> socket.socket:
    """A socket that accepts. Raises ServeError."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        raise ServeError(f"cannot listen on {host} port {port}: {reason}") from error
