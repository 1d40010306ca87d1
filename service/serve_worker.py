"""`mulan worker`: computes what the APIs on its Redis have queued.

On SIGTERM or SIGINT it announces itself no more, claims nothing, lets what runs end within
`drain_s`, hands the rest back, and exits 0; a second signal does not wait.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import torch
from prometheus_client import CollectorRegistry

from service.api.app import create_monitor
from service.api.gate import Gate
from service.background import in_background
from service.engine.scheduler import Limits
from service.errors import ServeError, StoreUnavailable
from service.hosting import Server, listen, on_signals, runner, url_of
from service.loading import LoadedModel, load_models, observers_of
from service.settings import Settings
from service.store.fleet import ANNOUNCE_EVERY_S, Announced
from service.store.opening import Shared, open_shared
from service.telemetry.registry import new_registry
from service.telemetry.store import StoreMetrics
from service.telemetry.tracing import Tracing, open_tracing
from service.worker import Worker

logger = logging.getLogger(__name__)


def serve(settings: Settings, began: float) -> None:
    """Work until a signal comes; `began` is when the process did, on the monotonic clock.

    Raises ServeError: a port that cannot be had, a Redis that is too old, no model that can be
    served, a dead or hung engine.
    """
    torch.set_num_threads(settings.threads)
    with (
        listen(settings.host, settings.metrics_port) as listener,
        open_tracing(settings.otlp_endpoint, "worker") as tracing,
        runner() as loop,
    ):
        loop.run(_run(settings, tracing, listener, began))


async def _run(settings: Settings, tracing: Tracing, listener: socket.socket, began: float) -> None:
    registry = new_registry()
    async with open_shared(settings, StoreMetrics(registry)) as shared:
        await _Process(settings, shared, registry, tracing, listener, began).run()


class _Process:
    """A worker, its store and its announcements, and the order of their lives. What it answers over
    HTTP, until the last job: whether it lives and works, and its metrics."""

    def __init__(
        self,
        settings: Settings,
        shared: Shared,
        registry: CollectorRegistry,
        tracing: Tracing,
        listener: socket.socket,
        began: float,
    ) -> None:
        self.settings, self.shared, self.began = settings, shared, began
        self.name = shared.store.name
        self.registry, self.tracing = registry, tracing
        self.gate, self.listener = Gate(), listener
        self.server = Server(create_monitor(settings, self.gate, registry))
        self.worker: Worker | None = None
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        """From loading to the last job. Raises ServeError."""
        on_signals(self._on_signal)
        serving = asyncio.create_task(self.server.serve([self.listener]))
        try:
            await self._run()
        finally:
            self.server.should_exit = True
            await serving

    async def _run(self) -> None:
        working = asyncio.create_task(self._work())
        stopping = asyncio.create_task(self.stopping.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not working.done():
            working.cancel()
        with suppress(asyncio.CancelledError):
            await working

    async def _work(self) -> None:
        logger.info(
            "metrics on %s/metrics, loading models for %s",
            *(url_of(self.listener), self.shared.place),
        )
        limits = Limits()
        load = partial(load_models, self.settings.models, rows=limits.tick)
        loaded = await in_background("loading", load)
        if not loaded:
            raise ServeError(f"no checkpoint in {self.settings.models} can be served")
        await self.shared.reached()
        self.worker = worker = Worker(
            self.shared.store,
            {model.manifest.sha256: model.served for model in loaded},
            limits,
            tend_every=self.settings.lease_s / 3,
            max_tick=self.settings.max_tick_s,
            observers=observers_of(self.name, self.registry, self.tracing, loaded),
        )
        await worker.start()
        try:
            await self._announce(worker, loaded)
        finally:
            await self._drain(worker)

    async def _announce(self, worker: Worker, loaded: Sequence[LoadedModel]) -> None:
        """Say what is served, for as long as it is."""
        models = [
            Announced(model.manifest, model.served.execution, model.calibration) for model in loaded
        ]
        names = ", ".join(f"{model.manifest.name} on {model.execution}" for model in models)
        elapsed = time.monotonic() - self.began
        logger.info("ready after %.1f s: worker %s serves %s", elapsed, self.name, names)
        self.gate.open()
        since = time.time()
        while worker.alive and not worker.hung:
            try:
                await self.shared.fleet.announce(self.name, since, models)
            except StoreUnavailable as error:
                logger.warning("not announced: %s", error)
            await asyncio.sleep(ANNOUNCE_EVERY_S)
        raise ServeError("the engine hangs" if worker.hung else "the worker has died")

    async def _drain(self, worker: Worker) -> None:
        self.gate.drain()
        logger.info("stopping with %d jobs", worker.jobs)
        with suppress(StoreUnavailable):
            await self.shared.fleet.retire(self.name)
        sound = worker.alive and not worker.hung
        await worker.stop(self.settings.drain_s if sound else 0.0)

    def _on_signal(self) -> None:
        if self.stopping.is_set() and self.worker is not None:
            self.worker.hurry()
        self.stopping.set()
