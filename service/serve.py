"""`mulan serve`: API, memory store and worker in one process.

The port answers before the models are loaded: /livez at once, /readyz when they are warm. On
SIGTERM or SIGINT /readyz turns first, nobody is let in, running work may end within `drain_s`,
and the process exits 0; a second signal does not wait.
"""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch
import uvicorn
import uvloop

from models.errors import CheckpointError
from service.api.app import create_app
from service.api.context import Context
from service.api.gate import Gate
from service.catalogue import Catalogue
from service.engine.scheduler import Limits
from service.errors import ServeError
from service.loading import load_models
from service.settings import Settings
from service.store.memory import MemoryStore
from service.worker import Worker

logger = logging.getLogger(__name__)

_HEALTH_CHECK_S = 1.0
_KEEP_ALIVE_S = 75
# For answers that are computed to reach their clients.
_FLUSH_S = 5.0


def serve(settings: Settings, began: float) -> None:
    """Serve until a signal comes; `began` is when the process did, on the monotonic clock.

    Raises ServeError: a port that cannot be had, no model that can be served, a dead worker.
    """
    with _listen(settings.host, settings.port) as listener:
        torch.set_num_threads(settings.threads)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_Process(settings, began, listener).run())


class _Server(uvicorn.Server):
    """Leaves the signals to the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Process:
    """The parts of one process and the order of their lives."""

    def __init__(self, settings: Settings, began: float, listener: socket.socket) -> None:
        self.settings, self.began, self.listener = settings, began, listener
        self.gate, self.catalogue = Gate(), Catalogue()
        self.store = MemoryStore(
            settings.max_queued_jobs, settings.max_retained_jobs, settings.retention_s
        )
        self.worker: Worker | None = None
        app = create_app(Context(settings, self.store, self.catalogue, self.gate))
        self.server = _Server(
            uvicorn.Config(
                app,
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=int(_FLUSH_S),
            )
        )
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        """From listening to the last answer."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        serving = asyncio.create_task(self.server.serve([self.listener]))
        working = asyncio.create_task(self._work())
        stopping = asyncio.create_task(self.stopping.wait())
        await asyncio.wait({serving, working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        self.stopping.set()
        await self._drain()
        self.server.should_exit = True
        await serving
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working

    async def _work(self) -> None:
        """Load, then work for as long as the worker lives."""
        logger.info("listening on %s, loading models", self._url())
        models = {}
        limits = Limits()
        loading = asyncio.to_thread(load_models, self.settings.models, rows=limits.tick)
        for manifest, served, calibration in await loading:
            try:
                self.catalogue.add(manifest, served.execution, calibration)
                models[manifest.sha256] = served
            except CheckpointError as error:
                logger.error("refused %s", error)
        if not models:
            raise ServeError(f"no checkpoint in {self.settings.models} can be served")
        if self.stopping.is_set():
            return
        self.worker = Worker(self.store, models, limits)
        await self.worker.start()
        self.gate.open()
        served_on = ", ".join(f"{model.name} on {model.execution}" for model in self.catalogue)
        elapsed = time.monotonic() - self.began
        logger.info("ready after %.1f s: %s serves %s", elapsed, self._url(), served_on)
        while self.worker.alive:
            await asyncio.sleep(_HEALTH_CHECK_S)
        if not self.stopping.is_set():
            raise ServeError("the worker has died")

    async def _drain(self) -> None:
        """Let running work end in time, then send home who still waits."""
        self.gate.drain()
        logger.info("stopping")
        within = self.settings.drain_s
        if self.worker is not None and not self.worker.alive:
            within = 0.0
        with suppress(TimeoutError):
            await asyncio.wait_for(self.gate.idle(), within)
        self.gate.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.gate.idle(), _FLUSH_S)
        if self.worker is not None:
            await self.worker.stop(within=0.0)

    def _on_signal(self) -> None:
        if self.stopping.is_set():
            self.gate.close()
            self.server.force_exit = True
        self.stopping.set()

    def _url(self) -> str:
        host, port = self.listener.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        raise ServeError(f"cannot listen on {host} port {port}: {reason}") from error
