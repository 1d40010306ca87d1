"""`mulan serve`: API, memory store and worker in one process."""

import asyncio
import logging
import socket

import torch

from models.errors import CheckpointError
from service.api.context import Context
from service.api.gate import Gate
from service.catalogue import Catalogue
from service.engine.scheduler import Limits
from service.errors import ServeError
from service.hosting import Process, listen, runner
from service.loading import load_models
from service.settings import Settings
from service.store.memory import MemoryStore
from service.worker import Worker

logger = logging.getLogger(__name__)

_HEALTH_CHECK_S = 1.0


def serve(settings: Settings, began: float) -> None:
    """Serve until a signal comes; `began` is when the process did, on the monotonic clock.

    Raises ServeError: a port that cannot be had, no model that can be served, a dead worker.
    """
    with listen(settings.host, settings.port) as listener:
        torch.set_num_threads(settings.threads)
        with runner() as loop:
            loop.run(_Serve(settings, listener, began).run())


class _Serve(Process):
    """API and worker around one memory store."""

    def __init__(self, settings: Settings, listener: socket.socket, began: float) -> None:
        self.store = MemoryStore(
            settings.max_queued_jobs, settings.max_retained_jobs, settings.retention_s
        )
        super().__init__(Context(settings, self.store, Catalogue(), Gate()), listener, began)
        self.worker: Worker | None = None

    async def work(self) -> None:
        """Load, then work for as long as the worker lives."""
        logger.info("listening on %s, loading models", self.url)
        models = {}
        limits = Limits()
        loading = asyncio.to_thread(load_models, self.settings.models, rows=limits.tick)
        for manifest, served in await loading:
            try:
                self.catalogue.add(manifest, served.execution)
                models[manifest.sha256] = served
            except CheckpointError as error:
                logger.error("refused %s", error)
        if not models:
            raise ServeError(f"no checkpoint in {self.settings.models} can be served")
        if self.stopping.is_set():
            return
        self.worker = Worker(self.store, models, limits)
        await self.worker.start()
        self.open()
        while self.worker.alive:
            await asyncio.sleep(_HEALTH_CHECK_S)
        if not self.stopping.is_set():
            raise ServeError("the worker has died")

    async def finish(self) -> None:
        """Stop the worker: nobody waits for it any more."""
        if self.worker is not None:
            await self.worker.stop(within=0.0)

    @property
    def drain_s(self) -> float:
        """A dead worker answers nobody."""
        dead = self.worker is not None and not self.worker.alive
        return 0.0 if dead else self.settings.drain_s
