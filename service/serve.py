"""The process `mulan serve`: API and worker around one store, in memory or in Redis."""

import logging

import torch

from service.hosted_worker import HostedWorker
from service.process import ApiProcess, Resources, run
from service.settings import Settings

logger = logging.getLogger(__name__)


def serve(settings: Settings, began: float) -> None:
    """Serve until a signal comes; `began` is when the process began, on the monotonic clock, in
    seconds.

    Raises ServeError if the port cannot be had, no model can be served, Redis is too old, or the
    worker dies or hangs.
    """
    torch.set_num_threads(settings.threads)
    run(Serve, settings, settings.port, began)


class Serve(ApiProcess):
    """API and worker in one process, which is part of the fleet if the store is shared."""

    name = "serve"

    def __init__(self, resources: Resources) -> None:
        super().__init__(resources)
        self.hosted = HostedWorker(resources, self.catalogue)
        self.take_control(self.hosted)

    async def start(self) -> None:
        logger.info("listening on %s, loading models", self.url)
        await self.hosted.start()
        self.ready(self.url)

    async def upkeep(self) -> None:
        await self.hosted.upkeep()
        workers = {model.name: 1 for model in self.catalogue}
        if self.shared is not None:
            await self.shared.fleet.models()
            workers = dict(self.shared.fleet.workers)
        await self.measure_queue(workers)

    async def finish(self) -> None:
        await self.hosted.stop(within=0.0)
