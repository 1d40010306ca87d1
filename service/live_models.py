"""The models of one worker while it works: loaded beside each other, exchanged, and dropped."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from models.runtimes.choice import Wish
from models.schema.errors import CheckpointError, ModelError
from models.schema.manifest import Manifest
from service.background import in_background
from service.control import Loaded
from service.errors import (
    CheckpointRefused,
    ComputationFailed,
    NotEnoughMemory,
    ServeError,
    ServiceError,
    UnknownModel,
)
from service.loading import (
    LoadedModel,
    find_checkpoint,
    load_beside,
    read_again,
    torch_threads,
)
from service.memory import check_memory
from service.store.base import Store
from service.store.fleet import AnnouncedModel
from service.telemetry.models import ModelMetrics
from service.worker import Worker

logger = logging.getLogger(__name__)

# Seconds that a checkpoint stays after its name has gone to another, at least. APIs hear of that
# within 2 s, and a request that found the old one may have its images decoded meanwhile.
KEPT_S = 10.0


class Place(NamedTuple):
    """The folder of the checkpoint folders, the devices that compute, the rows of the largest call,
    the runtime that is wished for, and the CPU threads of the networks."""

    root: Path
    devices: Sequence[torch.device]
    rows: int
    wish: Wish
    threads: int


class _Leaving(NamedTuple):
    """A checkpoint whose name stands for another, or for none, `since` a time on the monotonic
    clock, in seconds."""

    models: Sequence[LoadedModel]
    since: float


class LiveModels:
    """The models that a worker serves by name, each on all of its devices.

    A checkpoint is loaded and warmed up in another thread beside those that are served; then the
    name goes over to it at once. Jobs of the old checkpoint run on it to their end, and jobs that
    were admitted for it are still claimed; after that it is dropped. One change is made at a time.
    `names` has the name of each checkpoint that was ever served, by SHA-256, and is kept up to
    date. `changed` is called after each change. `unloaded` are the names that were unloaded. All
    methods belong to one event loop.
    """

    def __init__(
        self,
        place: Place,
        loaded: Sequence[Sequence[LoadedModel]],
        names: dict[str, str],
        worker: Worker,
        store: Store,
        metrics: ModelMetrics,
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._place, self._names, self._worker, self._store = place, names, worker, store
        self._metrics, self._changed = metrics, changed
        self._serving: dict[str, Sequence[LoadedModel]] = {
            models[0].manifest.name: models for models in zip(*loaded, strict=True)
        }
        self._leaving: dict[str, _Leaving] = {}
        self.unloaded = set[str]()
        self._one_at_a_time = asyncio.Lock()
        # When a name last went over to a checkpoint, or its calibration was read, by SHA-256.
        self.loaded_at: dict[str, float] = {}

    @property
    def announced(self) -> list[AnnouncedModel]:
        """The models as requests find them, one for each name."""
        first = [models[0] for models in self._serving.values()]
        return [
            AnnouncedModel(model.manifest, model.served.execution, model.calibration)
            for model in first
        ]

    async def load(self, name: str) -> Loaded:
        """Load the checkpoint of this name, as `ModelControl.load` describes."""
        async with self._one_at_a_time:
            began = time.perf_counter()
            try:
                found = await self._load(name)
            except UnknownModel:
                raise
            except Exception as failure:
                error = _told(name, failure)
                self._metrics.count("failed")
                logger.error("%s is not loaded, what was served stays: %s", name, error.detail)
                raise error from failure
            seconds = time.perf_counter() - began
            again = found.before == found.checkpoint
            if again:
                self._metrics.count("read-again")
                logger.info("%s: manifest and calibration are read again", name)
            else:
                self._metrics.count("loaded")
                logger.info("%s is %.12s now, loaded in %.1f s", name, found.checkpoint, seconds)
            await self._changed()
            return found

    async def unload(self, name: str) -> None:
        """Serve no model under this name, as `ModelControl.unload` describes."""
        async with self._one_at_a_time:
            if name not in self._serving:
                raise UnknownModel(f"no model is called {name!r}")
            self._let_go(self._serving.pop(name))
            self.unloaded.add(name)
            self._metrics.count("unloaded")
            logger.info("%s is unloaded; its jobs run to their end", name)
            await self._changed()

    async def drop_unused(self) -> None:
        """Drop the checkpoints whose names stand for others, once no job of them is left.

        Raises StoreUnavailable.
        """
        for sha256, leaving in list(self._leaving.items()):
            if time.monotonic() - leaving.since < KEPT_S or await self._store.has_jobs(sha256):
                continue
            # The name may have come back to it while the store answered.
            if self._leaving.get(sha256) is leaving and self._worker.withdraw(sha256):
                del self._leaving[sha256]
                logger.info("%s %.12s is dropped", self._names[sha256], sha256)

    async def _load(self, name: str) -> Loaded:
        """Bring the checkpoint into service; nothing changes before that has succeeded."""
        folder, manifest = await in_background(
            "finding", partial(find_checkpoint, name, self._place.root)
        )
        self._check_unique(name, manifest.sha256)
        known = self._known(name, manifest)
        if known:
            models = await in_background("reading", partial(read_again, known, folder))
        else:
            models = await in_background("loading", partial(self._load_beside, name, folder))
            self._metrics.show_seconds(name, sum(model.seconds for model in models))
        now = models[0].manifest
        if now.name != name:
            raise CheckpointError(f"{folder}: it was called {name} before it was loaded")
        self._check_unique(name, now.sha256)
        before = self._serving.get(name)
        self._serve(name, models)
        sha256_before = None
        if before is not None:
            sha256_before = before[0].manifest.sha256
            if sha256_before != now.sha256:
                self._let_go(before)
        return Loaded(name, now.sha256, sha256_before)

    def _load_beside(self, name: str, folder: Path) -> list[LoadedModel]:
        """Load the checkpoint, on another thread."""
        place = self._place
        check_memory(name, folder, place.devices)
        return load_beside(place.devices, folder, place.rows, place.wish)

    def _known(self, name: str, manifest: Manifest) -> Sequence[LoadedModel]:
        """Return the checkpoint as it is in memory, or nothing for one that has to be loaded."""
        served = self._serving.get(name, ())
        leaving = self._leaving.get(manifest.sha256)
        for models in (served, leaving.models if leaving else ()):
            if models and models[0].manifest.sha256 == manifest.sha256:
                return models
        return ()

    def _check_unique(self, name: str, sha256: str) -> None:
        for other, models in self._serving.items():
            if other != name and models[0].manifest.sha256 == sha256:
                raise CheckpointError(f"these are the weights of {other}, which is served")

    def _serve(self, name: str, models: Sequence[LoadedModel]) -> None:
        sha256 = models[0].manifest.sha256
        self._names[sha256] = name
        self._serving[name] = models
        self.unloaded.discard(name)
        self._leaving.pop(sha256, None)
        self.loaded_at[sha256] = time.time()
        every = [*self._serving.values(), *(leaving.models for leaving in self._leaving.values())]
        loaded = (model for several in every for model in several)
        threads = torch_threads(loaded, self._place.threads)
        self._worker.serve(sha256, [model.served for model in models], threads)

    def _let_go(self, models: Sequence[LoadedModel]) -> None:
        sha256 = models[0].manifest.sha256
        self._leaving[sha256] = _Leaving(models, time.monotonic())
        self.loaded_at.pop(sha256, None)


def _told(name: str, failure: Exception) -> ServiceError:
    """Return a failure as whoever asked for the load sees it; a defect is logged in full."""
    if isinstance(failure, ServiceError):
        return failure
    if isinstance(failure, ModelError | ServeError):
        return CheckpointRefused(str(failure))
    if isinstance(failure, OSError):
        return CheckpointRefused(f"{failure.filename}: {failure.strerror}")
    if isinstance(failure, MemoryError | torch.OutOfMemoryError):
        return NotEnoughMemory(f"{name} does not fit into the memory that is free")
    logger.error("loading failed", exc_info=failure)
    line = (str(failure).splitlines() or [""])[0]
    return ComputationFailed(f"{name} could not be loaded: {type(failure).__name__}: {line}")
