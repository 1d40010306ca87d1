"""The process `mulan worker`: it computes the jobs that APIs have queued in Redis.

Over HTTP it answers with its health and its metrics, until its last job has ended.
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
from service.store.subscription import CLAIMING

logger = logging.getLogger(__name__)


def serve(settings: Settings, began: float) -> None:
    """Work until a signal comes; `began` is when the process began, on the monotonic clock, in
    seconds.

    Raises ServeError if the port cannot be had, Redis is not chosen or too old, no model can be
    served, or the worker dies or hangs.
    """
    torch.set_num_threads(settings.threads)
    run(WorkerProcess, settings, settings.metrics_port, began)


class WorkerProcess(Process):
    """The worker of a fleet. After a signal it withdraws its announcement and claims no more jobs;
    those that run may finish within `drain_s` seconds, and the rest is handed back."""

    name = "worker"
    channels = CLAIMING
    upkeep_every_s = ANNOUNCE_EVERY_S

    def __init__(self, resources: Resources) -> None:
        super().__init__(resources)
        self.address = require_shared(resources.shared).address
        # APIs sweep every second. The sweeps of workers are for times without an API.
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
