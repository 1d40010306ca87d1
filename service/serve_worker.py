"""`mulan worker`: computes what the APIs on its Redis have queued.

It answers over HTTP whether it lives and works, and its metrics, until its last job has ended.
"""

import logging

import torch
from fastapi import FastAPI

from service.api.app import create_monitor
from service.hosted_worker import HostedWorker
from service.process import Process, Resources, run
from service.settings import Settings
from service.store.fleet import ANNOUNCE_EVERY_S
from service.store.opening import require_shared

logger = logging.getLogger(__name__)


def serve(settings: Settings, began: float) -> None:
    """Work until a signal comes; `began` is when the process did, on the monotonic clock.

    Raises ServeError: a port that cannot be had, a Redis that is too old, no model that can be
    served, a worker that has died or hangs.
    """
    torch.set_num_threads(settings.threads)
    run(WorkerProcess, settings, settings.metrics_port, began)


class WorkerProcess(Process):
    """A worker around a Redis store. After a signal it announces itself no more and claims nothing;
    what runs may finish within `drain_s`, and the rest is handed back."""

    name = "worker"
    upkeep_every_s = ANNOUNCE_EVERY_S

    def __init__(self, resources: Resources) -> None:
        super().__init__(resources)
        self.address = require_shared(resources.shared).address
        # APIs sweep every second; workers do so where there are none.
        self.sweep_every_s = self.settings.lease_s / 3
        self.hosted = HostedWorker(resources, self.catalogue)

    def application(self) -> FastAPI:
        return create_monitor(self.settings, self.gate, self.resources.registry)

    async def start(self) -> None:
        logger.info("metrics on %s/metrics, loading models for %s", self.url, self.address)
        await self.hosted.start()
        self.ready(f"worker {self.hosted.name}")

    async def upkeep(self) -> None:
        await self.hosted.upkeep()

    async def finish(self) -> None:
        await self.hosted.stop(self.settings.drain_s)

    def hurry(self) -> None:
        super().hurry()
        self.hosted.hurry()
