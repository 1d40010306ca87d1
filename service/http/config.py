"""The configuration of uvicorn."""

import asyncio

import uvicorn
from fastapi import FastAPI

from service.http.arrivals import Arrivals

# Seconds for answers that are computed to reach their clients in a stop.
FLUSH_S = 5
_KEEP_ALIVE_S = 75


class Config(uvicorn.Config):
    """The configuration of a server whose connections are of class `protocol` and keep to
    `arrivals`."""

    def __init__(self, app: FastAPI, protocol: type[asyncio.Protocol], arrivals: Arrivals) -> None:
        super().__init__(
            app,
            http=protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            # The application writes a line for each request itself, with its ids.
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=FLUSH_S,
        )
        self.arrivals = arrivals
