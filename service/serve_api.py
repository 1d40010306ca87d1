"""`mulan api`: the API of a fleet; any number of them share a Redis with any number of workers."""

import asyncio
import logging
import socket

from models.schema.errors import CheckpointError
from service.api.context import Context
from service.api.gate import Gate
from service.catalogue import Catalogue
from service.errors import StoreUnavailable
from service.hosting import Process, listen, runner
from service.settings import Settings
from service.store.opening import Shared, open_shared
from service.store.quotas import Quotas
from service.telemetry.api import ApiMetrics
from service.telemetry.store import StoreMetrics
from service.telemetry.tracing import Tracing, open_tracing

logger = logging.getLogger(__name__)

# Seconds between looks at which workers there are and which jobs are late: a few small reads.
_LOOK_EVERY = 1.0


def serve(settings: Settings, began: float) -> None:
    """Serve until a signal comes; `began` is when the process did, on the monotonic clock.

    Raises ServeError: a port that cannot be had, no Redis or one that is too old.
    """
    with (
        listen(settings.host, settings.port) as listener,
        open_tracing(settings.otlp_endpoint, "api") as tracing,
        runner() as loop,
    ):
        loop.run(_run(settings, tracing, listener, began))


async def _run(settings: Settings, tracing: Tracing, listener: socket.socket, began: float) -> None:
    metrics = ApiMetrics.alone()
    async with open_shared(settings, StoreMetrics(metrics.registry)) as shared:
        await _Api(settings, shared, metrics, tracing, listener, began).run()


class _Api(Process):
    """The API around a Redis store; its catalogue is what workers announce."""

    def __init__(
        self,
        settings: Settings,
        shared: Shared,
        metrics: ApiMetrics,
        tracing: Tracing,
        listener: socket.socket,
        began: float,
    ) -> None:
        self.shared, self.opened = shared, False
        gate = Gate("no worker serves a model yet")
        quotas = Quotas(settings, shared.store.client, shared.observer)
        context = Context(settings, shared.store, Catalogue(), gate, quotas, metrics, tracing)
        super().__init__(context, listener, began)

    async def work(self) -> None:
        """Follow the workers, and keep the queue in order also where there are none."""
        logger.info("listening on %s, looking for workers on %s", self.url, self.shared.place)
        await self.shared.reached()
        while True:
            try:
                await self._look()
                await self.shared.store.sweep()
                await self.count()
            except StoreUnavailable as error:
                logger.warning("%s", error)
            await asyncio.sleep(_LOOK_EVERY)

    async def finish(self) -> None:
        """Nothing is left to wait for."""

    async def _look(self) -> None:
        before = {model.name for model in self.catalogue}
        try:
            self.catalogue.replace(await self.shared.fleet.present())
        except CheckpointError as error:
            logger.error("a worker announces what cannot be served: %s", error)
        self.metrics.queue.serving(self.shared.fleet.workers)
        now = {model.name for model in self.catalogue}
        if now and not self.opened:
            self.opened = True
            self.open()
        elif now != before:
            logger.info("served now: %s", ", ".join(sorted(now)) or "nothing")
