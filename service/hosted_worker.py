"""A worker within its process: with the models that it serves, and announced to the fleet."""

import asyncio
import logging
import time
from collections.abc import Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial

from models.runtimes.choice import Wish
from service.background import in_background
from service.catalogue import Catalogue
from service.control import Loaded
from service.engine.scheduler import SchedulerLimits
from service.errors import NotReady, ServeError, StoreUnavailable
from service.following import State, follow_orders, states, watch_folder
from service.live_models import LiveModels, Place
from service.loading import LoadedModel, device_memory, find_devices, load_on, spare_threads
from service.process import Resources
from service.rows import Served
from service.store.opening import Shared
from service.store.retry import cancel_all, retry_while_unavailable
from service.telemetry.device import DeviceMetrics
from service.telemetry.engine import EngineMetrics
from service.telemetry.jobs import JobMetrics
from service.telemetry.lines import JobLog
from service.telemetry.models import ModelMetrics
from service.telemetry.observers import CompositeObserver, Observers
from service.worker import Worker, log_crash

logger = logging.getLogger(__name__)

# The price of a tick by the type of device. That of CUDA is the size of the largest graph; it has
# not been measured.
_TICKS = {"cpu": 64, "cuda": 128}
# Rows that may have begun, in ticks.
_RESIDENT_TICKS = 8
# The name of a worker whose store is in memory.
_ALONE = "here"
# Seconds after which a request that came before the models may try again.
_RETRY_S = 2


class HostedWorker:
    """The worker of one process. It loads its models on each device that the settings name, and
    keeps the process's `catalogue` up to date as they change.

    All methods belong to one event loop.
    """

    def __init__(self, resources: Resources, catalogue: Catalogue) -> None:
        self._resources, self._settings = resources, resources.settings
        self._shared, self._catalogue = resources.shared, catalogue
        self.name = resources.shared.name if resources.shared else _ALONE
        self._worker: Worker | None = None
        self._live: LiveModels | None = None
        self._following: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Load the models, wait until the store answers, and begin to claim jobs.

        Raises ServeError if a device is not there, no model can be served, or Redis is too old.
        """
        settings = self._settings
        devices = find_devices(settings.devices)
        limits = _limits(settings.tick, devices[0].type)
        wish = Wish(settings.runtime, settings.sample_dtype, settings.cache, settings.threads)
        place = Place(settings.models, devices, limits.tick, wish, settings.threads)
        # The folder is looked at before it is read, so that no change is missed.
        before = await in_background("looking", partial(states, place.root))
        load = partial(load_on, devices, place.root, limits.tick, wish)
        loaded = await in_background("loading", load)
        if not loaded[0]:
            missing = "" if settings.models.is_dir() else ": there is no such folder"
            raise ServeError(f"no checkpoint in {settings.models} can be served{missing}")
        spare_threads(loaded[0])
        if self._shared is not None:
            await self._shared.wait_until_reachable()
            loaded = _without(await self._unloaded(self._shared), loaded)
        first, *others = loaded
        names = {model.manifest.sha256: model.manifest.name for model in first}
        metrics = self._model_metrics(first)
        worker = Worker(
            self._resources.store,
            _served(first),
            limits,
            renew_every=settings.lease_s / 3,
            max_tick=settings.max_tick_s,
            observers=self._observers(names),
            others=[_served(models) for models in others],
        )
        store, self._since = self._resources.store, time.time()
        live = LiveModels(place, loaded, names, worker, store, metrics, self._changed)
        self._catalogue.replace(live.announced)
        await worker.start()
        self._worker, self._live = worker, live
        self._follow(live, before)

    async def load(self, name: str) -> Loaded:
        """Load a model into the worker, as `ModelControl.load` describes."""
        return await self._living().load(name)

    async def unload(self, name: str) -> None:
        """Unload a model from the worker, as `ModelControl.unload` describes."""
        await self._living().unload(name)

    async def upkeep(self) -> None:
        """Check the worker, repeat its announcement, and drop models that nobody needs.

        Raises ServeError if the worker has died or hangs, and StoreUnavailable.
        """
        assert self._worker is not None
        if self._worker.hung:
            raise ServeError("the engine hangs")
        if not self._worker.alive:
            raise ServeError("the worker has died")
        await self._announce()
        await self._living().drop_unused()

    async def stop(self, within: float) -> None:
        """Withdraw the announcement, claim no more jobs, let those that run finish for `within`
        seconds, and hand the rest back."""
        if self._worker is None:
            return
        logger.info("stopping with %d jobs", self._worker.jobs)
        await cancel_all(*self._following)
        if self._shared is not None:
            with suppress(StoreUnavailable):
                await self._shared.fleet.retire(self.name)
        await self._worker.stop(within)

    def hurry(self) -> None:
        """Have `stop` wait no longer."""
        if self._worker is not None:
            self._worker.hurry()

    def _living(self) -> LiveModels:
        if self._live is None:
            raise NotReady("models are loading", _RETRY_S)
        return self._live

    def _follow(self, live: LiveModels, before: dict[str, State]) -> None:
        """Begin to follow the fleet's orders and to watch the folder, as the settings say."""
        settings, shared = self._settings, self._shared
        if settings.model_control and shared is not None:
            self._begin("orders", follow_orders(shared.orders, self.name, live))
        if settings.watch_models:
            self._begin("watch", watch_folder(settings.models, live, before))

    def _begin(self, name: str, loop: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(loop, name=f"worker's {name} loop")
        task.add_done_callback(log_crash)
        self._following.append(task)

    async def _unloaded(self, shared: Shared) -> set[str]:
        """Return the names that the fleet was told to unload."""
        if not self._settings.model_control:
            return set()
        orders = await retry_while_unavailable(shared.orders.latest)
        return {name for name, order in orders.items() if order.action == "unload"}

    async def _changed(self) -> None:
        """Tell of the models that are served now."""
        live = self._living()
        self._catalogue.replace(live.announced, live.unloaded)
        # The next round of upkeep tells a fleet whose Redis is away.
        with suppress(StoreUnavailable):
            await self._announce()

    async def _announce(self) -> None:
        if self._shared is not None:
            live = self._living()
            announced, loaded_at = live.announced, live.loaded_at
            await self._shared.fleet.announce(self.name, self._since, announced, loaded_at)

    def _model_metrics(self, models: Sequence[LoadedModel]) -> ModelMetrics:
        seconds = {model.manifest.name: model.seconds for model in models}
        return ModelMetrics(self._resources.registry, seconds)

    def _observers(self, names: Mapping[str, str]) -> Observers:
        registry, tracing = self._resources.registry, self._resources.tracing
        DeviceMetrics(registry, device_memory)
        counted = JobMetrics(registry, names, self._settings.sources)
        jobs = CompositeObserver(counted, JobLog(self.name), tracing.jobs)
        return Observers(jobs, EngineMetrics(registry, names))


def _limits(tick: int, device_type: str) -> SchedulerLimits:
    """The bounds of an engine whose tick has this price, or 0 for that of the device."""
    tick = tick or _TICKS[device_type]
    return SchedulerLimits(tick=tick, resident=_RESIDENT_TICKS * tick)


def _served(models: Sequence[LoadedModel]) -> dict[str, Served]:
    return {model.manifest.sha256: model.served for model in models}


def _without(
    names: Collection[str], loaded: Sequence[Sequence[LoadedModel]]
) -> list[list[LoadedModel]]:
    return [[one for one in models if one.manifest.name not in names] for models in loaded]
