"""`mulan serve`: API and worker in one process, around either store."""

import asyncio
import logging
import socket
import time
from contextlib import suppress
from functools import partial

import torch

from models.schema.errors import CheckpointError
from service.api.context import Context
from service.api.gate import Gate
from service.background import in_background
from service.catalogue import Catalogue
from service.engine.scheduler import Limits
from service.errors import ServeError, StoreUnavailable
from service.hosting import Process, listen, runner
from service.loading import load_models, observers_of
from service.settings import MEMORY, Settings
from service.store.base import Store
from service.store.fleet import Announced
from service.store.opening import Shared, open_store
from service.store.quotas import Quotas
from service.telemetry.api import ApiMetrics
from service.telemetry.store import StoreMetrics
from service.telemetry.tracing import Tracing, open_tracing
from service.worker import Worker

logger = logging.getLogger(__name__)

# Seconds; a job that waits past its deadline is ended within this.
_TEND_EVERY = 1.0


def serve(settings: Settings, began: float) -> None:
    """Serve until a signal comes; `began` is when the process did, on the monotonic clock.

    Raises ServeError: a port that cannot be had, no model that can be served, a dead worker.
    """
    torch.set_num_threads(settings.threads)
    with (
        listen(settings.host, settings.port) as listener,
        open_tracing(settings.otlp_endpoint, "serve") as tracing,
        runner() as loop,
    ):
        loop.run(_run(settings, tracing, listener, began))


async def _run(settings: Settings, tracing: Tracing, listener: socket.socket, began: float) -> None:
    metrics = ApiMetrics.alone()
    observer = StoreMetrics(metrics.registry, up=settings.store == MEMORY)
    async with open_store(settings, observer) as (store, shared):
        await _Serve(settings, store, shared, metrics, tracing, listener, began).run()


class _Serve(Process):
    """API and worker around one store; a shared one is told what is served here."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        shared: Shared | None,
        metrics: ApiMetrics,
        tracing: Tracing,
        listener: socket.socket,
        began: float,
    ) -> None:
        self.shared, self.since = shared, time.time()
        quotas = Quotas(settings, *((shared.store.client, shared.observer) if shared else ()))
        context = Context(settings, store, Catalogue(), Gate(), quotas, metrics, tracing)
        super().__init__(context, listener, began)
        self.worker: Worker | None = None

    async def work(self) -> None:
        """Load, then work for as long as the worker lives."""
        logger.info("listening on %s, loading models", self.url)
        models = {}
        limits = Limits()
        load = partial(load_models, self.settings.models, rows=limits.tick)
        loaded = await in_background("loading", load)
        for model in loaded:
            manifest, served = model.manifest, model.served
            try:
                self.catalogue.add(manifest, served.execution, model.calibration)
                models[manifest.sha256] = served
            except CheckpointError as error:
                logger.error("refused %s", error)
        if not models:
            raise ServeError(f"no checkpoint in {self.settings.models} can be served")
        if self.shared is not None:
            await self.shared.reached()
        if self.stopping.is_set():
            return
        self.worker = worker = Worker(
            self.store,
            models,
            limits,
            tend_every=self.settings.lease_s / 3,
            max_tick=self.settings.max_tick_s,
            observers=observers_of("here", self.metrics.registry, self.tracing, loaded),
        )
        await worker.start()
        self.open()
        while worker.alive and not worker.hung:
            await self._tend()
            await asyncio.sleep(_TEND_EVERY)
        if not self.stopping.is_set():
            raise ServeError("the engine hangs" if worker.hung else "the worker has died")

    async def finish(self) -> None:
        """Stop the worker: nobody waits for it any more."""
        if self.worker is not None:
            if self.shared is not None:
                with suppress(StoreUnavailable):
                    await self.shared.fleet.retire(self.shared.store.name)
            await self.worker.stop(within=0.0)

    @property
    def drain_s(self) -> float:
        """A dead worker answers nobody."""
        dead = self.worker is not None and (not self.worker.alive or self.worker.hung)
        return 0.0 if dead else self.settings.drain_s

    async def _tend(self) -> None:
        """End what waits past its deadline; tell a fleet what is served here, and count."""
        workers = {model.name: 1 for model in self.catalogue}
        try:
            await self.store.sweep()
            if self.shared is not None:
                models = [
                    Announced(model.manifest, model.execution, model.calibration)
                    for model in self.catalogue
                ]
                await self.shared.fleet.announce(self.shared.store.name, self.since, models)
                await self.shared.fleet.present()
                workers = dict(self.shared.fleet.workers)
            self.metrics.queue.serving(workers)
            await self.count()
        except StoreUnavailable as error:
            logger.warning("%s", error)
