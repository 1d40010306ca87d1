"""An engine that is kept full of equal jobs, as a saturated service is."""

import time
from collections.abc import Sequence

import numpy as np

from models.schema.manifest import Manifest
from models.schema.presets import presets
from models.schema.specs import Adams, SamplerSpec, sampler_spec
from service.engine.engine import Engine
from service.engine.events import Ended
from service.engine.scheduler import SchedulerLimits
from service.errors import ServiceError
from service.jobs import Job, Task
from service.kinds.likelihoods.task import ScoreTask
from service.kinds.samples.task import SampleTask
from service.loading import LoadedModel
from service.rows import Served
from service.telemetry.observers import EngineObserver
from service.telemetry.ticks import Tick

SCORING = "adams"
# Longer jobs are not awaited before the measurement.
LONGEST_WARM_UP_TICKS = 40


class Workload:
    """An engine with `rows` rows of jobs of `images` images, divided among `solvers`.

    Where a job ends the next one begins. The first jobs come one after another over the time that
    one takes, so that in later ticks about as many begin as end. Raises ValueError for a solver
    that there is not.
    """

    def __init__(
        self, model: LoadedModel, served: Served, solvers: Sequence[str], rows: int, images: int
    ) -> None:
        self._manifest = model.manifest
        self._images = min(images, rows)
        self._specs = [solver_spec(model.manifest, name) for name in solvers]
        self._jobs, self._number = max(len(solvers), rows // self._images), 0
        self._switch = _Switch()
        limits = SchedulerLimits(resident=max(rows, SchedulerLimits().resident))
        sha256 = model.manifest.sha256
        self.engine = Engine({sha256: served}, limits, self._switch)

    def warm_up(self) -> None:
        """Begin the first jobs, and go on until some have ended or many ticks are over."""
        takes = min(LONGEST_WARM_UP_TICKS, *map(_evaluations, self._specs))
        for tick in range(2 * takes):
            due = min(self._jobs, -(-self._jobs * (tick + 1) // takes))
            while self._number < due:
                self._submit()
            self.tick()

    def tick(self, observer: EngineObserver | None = None) -> None:
        """Run one tick, and begin a job for each that has ended. Raises RuntimeError for a job that
        failed."""
        self._switch.to = observer or EngineObserver()
        for event in self.engine.step(time.time()):
            if isinstance(event, Ended):
                if isinstance(event.outcome, ServiceError):
                    raise RuntimeError(f"a job failed: {event.outcome}")
                self._submit()

    def _submit(self) -> None:
        spec = self._specs[self._number % len(self._specs)]
        task = self._task(spec, self._number)
        sha256 = self._manifest.sha256
        self.engine.submit(Job(str(self._number), sha256, task, float("inf"), time.time()))
        self._number += 1

    def _task(self, spec: SamplerSpec | Adams, seed: int) -> Task:
        if not isinstance(spec, Adams):
            return SampleTask(spec, seed, self._images)
        config = self._manifest.config
        shape = (self._images, *config.image_shape)
        tokens = np.random.default_rng(seed).integers(0, config.vocabulary, shape, np.uint8)
        labels = None
        if config.classes:
            labels = tuple(image % config.classes for image in range(self._images))
        return ScoreTask(spec, seed, 1, tokens, labels=labels)


def solver_spec(manifest: Manifest, name: str) -> SamplerSpec | Adams:
    """Return the parameters of a preset of the checkpoint, or the defaults of a solver.

    Raises ValidationError, a ValueError, for any other name.
    """
    named = {str(preset): spec for preset, spec in presets(manifest).items()}
    if name in named:
        return named[name]
    return Adams() if name == SCORING else sampler_spec(name)


class _Switch(EngineObserver):
    """An observer that passes everything on to another one, which may change."""

    def __init__(self) -> None:
        self.to = EngineObserver()

    def tick_began(self, tick: Tick) -> None:
        self.to.tick_began(tick)

    def tick_ended(self, tick: Tick) -> None:
        self.to.tick_ended(tick)


def _evaluations(spec: SamplerSpec | Adams) -> int:
    return spec.expected_evaluations if isinstance(spec, Adams) else spec.evaluations
