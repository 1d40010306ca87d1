"""The HTTP server of a process, and its socket."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from service.errors import ServeError

_KEEP_ALIVE_S = 75
# For answers that are computed to reach their clients.
_FLUSH_S = 5.0


class Server(uvicorn.Server):
    """Answers for an application; leaves the signals to the process."""

    def __init__(self, app: FastAPI) -> None:
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            # The application writes a line for each request itself, with its ids.
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=int(_FLUSH_S),
        )
        super().__init__(config)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """Open a socket that accepts connections. Raises ServeError if the address is not to be had."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        raise ServeError(f"cannot listen on {host} port {port}: {reason}") from error
