"""A worker within its process: with the models that it serves, and announced to the fleet."""

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from models.runtimes.choice import Wish
from service.background import in_background
from service.catalogue import Catalogue
from service.engine.scheduler import SchedulerLimits
from service.errors import ServeError, StoreUnavailable
from service.loading import LoadedModel, device_memory, find_devices, load_on, spare_threads
from service.process import Resources
from service.rows import Served
from service.store.fleet import AnnouncedModel
from service.telemetry.device import DeviceMetrics
from service.telemetry.engine import EngineMetrics
from service.telemetry.jobs import JobMetrics
from service.telemetry.lines import JobLog
from service.telemetry.observers import CompositeObserver, Observers
from service.worker import Worker

logger = logging.getLogger(__name__)

# The price of a tick by the type of device. That of CUDA is the size of the largest graph; it has
# not been measured.
_TICKS = {"cpu": 64, "cuda": 128}
# Rows that may have begun, in ticks.
_RESIDENT_TICKS = 8
# The name of a worker whose store is in memory.
_ALONE = "here"


class HostedWorker:
    """The worker of one process. It loads its models on each device that the settings name, and
    adds them to the process's `catalogue`.

    All methods belong to one event loop.
    """

    def __init__(self, resources: Resources, catalogue: Catalogue) -> None:
        self._resources, self._settings = resources, resources.settings
        self._shared, self._catalogue = resources.shared, catalogue
        self.name = resources.shared.store.name if resources.shared else _ALONE
        self._announced: list[AnnouncedModel] = []
        self._worker: Worker | None = None

    async def start(self) -> None:
        """Load the models, wait until the store answers, and begin to claim jobs.

        Raises ServeError if a device is not there, no model can be served, or Redis is too old.
        """
        settings = self._settings
        devices = find_devices(settings.devices)
        limits = _limits(settings.tick, devices[0].type)
        wish = Wish(settings.runtime, settings.sample_dtype, settings.cache, settings.threads)
        load = partial(load_on, devices, settings.models, limits.tick, wish)
        loaded, *others = await in_background("loading", load)
        if not loaded:
            raise ServeError(f"no checkpoint in {settings.models} can be served")
        spare_threads(loaded)
        self._announced = [
            AnnouncedModel(model.manifest, model.served.execution, model.calibration)
            for model in loaded
        ]
        self._catalogue.replace(self._announced)
        if self._shared is not None:
            await self._shared.wait_until_reachable()
        worker = Worker(
            self._resources.store,
            _served(loaded),
            limits,
            renew_every=settings.lease_s / 3,
            max_tick=settings.max_tick_s,
            observers=self._observers(loaded),
            others=[_served(models) for models in others],
        )
        await worker.start()
        self._worker, self._since = worker, time.time()

    async def upkeep(self) -> None:
        """Check the worker, and repeat its announcement.

        Raises ServeError if the worker has died or hangs, and StoreUnavailable.
        """
        assert self._worker is not None
        if self._worker.hung:
            raise ServeError("the engine hangs")
        if not self._worker.alive:
            raise ServeError("the worker has died")
        if self._shared is not None:
            await self._shared.fleet.announce(self.name, self._since, self._announced)

    async def stop(self, within: float) -> None:
        """Withdraw the announcement, claim no more jobs, let those that run finish for `within`
        seconds, and hand the rest back."""
        if self._worker is None:
            return
        logger.info("stopping with %d jobs", self._worker.jobs)
        if self._shared is not None:
            with suppress(StoreUnavailable):
                await self._shared.fleet.retire(self.name)
        await self._worker.stop(within)

    def hurry(self) -> None:
        """Have `stop` wait no longer."""
        if self._worker is not None:
            self._worker.hurry()

    def _observers(self, models: Sequence[LoadedModel]) -> Observers:
        registry, tracing = self._resources.registry, self._resources.tracing
        seconds = {model.manifest.name: model.seconds for model in models}
        DeviceMetrics(registry, seconds, device_memory)
        names = {model.manifest.sha256: model.manifest.name for model in models}
        counted = JobMetrics(registry, names, self._settings.sources)
        jobs = CompositeObserver(counted, JobLog(self.name), tracing.jobs)
        return Observers(jobs, EngineMetrics(registry, names))


def _limits(tick: int, device_type: str) -> SchedulerLimits:
    """The bounds of an engine whose tick has this price, or 0 for that of the device."""
    tick = tick or _TICKS[device_type]
    return SchedulerLimits(tick=tick, resident=_RESIDENT_TICKS * tick)


def _served(models: Sequence[LoadedModel]) -> dict[str, Served]:
    return {model.manifest.sha256: model.served for model in models}
