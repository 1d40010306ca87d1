"""`mulan worker`: computes what the APIs on its Redis have queued.

On SIGTERM or SIGINT it announces itself no more, claims nothing, lets what runs end within
`drain_s`, hands the rest back, and exits 0; a second signal does not wait.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress

import torch

from service.engine.scheduler import Limits
from service.errors import ServeError, StoreUnavailable
from service.hosting import on_signals, runner
from service.loading import Loaded, load_models
from service.settings import Settings
from service.store.fleet import ANNOUNCE_EVERY_S, Announced
from service.store.opening import Shared, open_shared
from service.worker import Worker

logger = logging.getLogger(__name__)


def serve(settings: Settings, began: float) -> None:
    """Work until a signal comes; `began` is when the process did, on the monotonic clock.

    Raises ServeError: a Redis that is too old, no model that can be served, a dead or hung engine.
    """
    torch.set_num_threads(settings.threads)
    with runner() as loop:
        loop.run(_run(settings, began))


async def _run(settings: Settings, began: float) -> None:
    async with open_shared(settings) as shared:
        await _Process(settings, shared, began).run()


class _Process:
    """A worker, its store and its announcements, and the order of their lives."""

    def __init__(self, settings: Settings, shared: Shared, began: float) -> None:
        self.settings, self.shared, self.began = settings, shared, began
        self.name = shared.store.name
        self.worker: Worker | None = None
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        """From loading to the last job. Raises ServeError."""
        on_signals(self._on_signal)
        working = asyncio.create_task(self._work())
        stopping = asyncio.create_task(self.stopping.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not working.done():
            working.cancel()
        with suppress(asyncio.CancelledError):
            await working

    async def _work(self) -> None:
        logger.info("loading models for %s", self.shared.place)
        limits = Limits()
        loading = asyncio.to_thread(load_models, self.settings.models, rows=limits.tick)
        loaded = await loading
        if not loaded:
            raise ServeError(f"no checkpoint in {self.settings.models} can be served")
        await self.shared.reached()
        self.worker = worker = Worker(
            self.shared.store,
            {model.manifest.sha256: model.served for model in loaded},
            limits,
            tend_every=self.settings.lease_s / 3,
            max_tick=self.settings.max_tick_s,
        )
        await worker.start()
        try:
            await self._announce(worker, loaded)
        finally:
            await self._drain(worker)

    async def _announce(self, worker: Worker, loaded: Sequence[Loaded]) -> None:
        """Say what is served, for as long as it is."""
        models = [
            Announced(manifest, served.execution, calibration)
            for manifest, served, calibration in loaded
        ]
        names = ", ".join(f"{model.manifest.name} on {model.execution}" for model in models)
        elapsed = time.monotonic() - self.began
        logger.info("ready after %.1f s: worker %s serves %s", elapsed, self.name, names)
        since = time.time()
        while worker.alive and not worker.hung:
            try:
                await self.shared.fleet.announce(self.name, since, models)
            except StoreUnavailable as error:
                logger.warning("not announced: %s", error)
            await asyncio.sleep(ANNOUNCE_EVERY_S)
        raise ServeError("the engine hangs" if worker.hung else "the worker has died")

    async def _drain(self, worker: Worker) -> None:
        logger.info("stopping with %d jobs", worker.jobs)
        with suppress(StoreUnavailable):
            await self.shared.fleet.retire(self.name)
        sound = worker.alive and not worker.hung
        await worker.stop(self.settings.drain_s if sound else 0.0)

    def _on_signal(self) -> None:
        if self.stopping.is_set() and self.worker is not None:
            self.worker.hurry()
        self.stopping.set()
