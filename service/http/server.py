"""Answers HTTP for an application."""

import asyncio
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from service.api.gate import Gate, draining
from service.http.arrivals import Arrivals
from service.http.config import Config
from service.http.connection import Connection
from service.settings import Settings

# Seconds of a stop for answers to be taken; a little less than uvicorn gives everybody.
_TAKE_S = 2.0
# Files and connections beside those that wait for a request.
_OTHERS = 4096


class Server(uvicorn.Server):
    """Answers for `app` within the bounds of `settings`; leaves the signals to the process. When
    `gate` drains, a request whose body is still arriving is refused."""

    def __init__(self, app: FastAPI, settings: Settings, gate: Gate) -> None:
        self.arrivals, self.gate = Arrivals(settings), gate
        self.most_files = settings.max_pending_connections + _OTHERS
        super().__init__(Config(app, Connection, self.arrivals))

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, with as many connections as the settings speak of, where the system lets it."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < self.most_files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(self.most_files, hard), hard))
        await super().startup(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Look after what is late; called ten times a second."""
        self.arrivals.expire(asyncio.get_running_loop().time())
        if self.gate.draining.is_set():
            self.arrivals.drain(draining)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close; who has not taken an answer in time has left."""
        timer = asyncio.get_running_loop().call_later(_TAKE_S, self._abort)
        await super().shutdown(sockets)
        timer.cancel()

    def _abort(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()
