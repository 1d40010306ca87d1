"""The cost of a tick on a device, measured on the real engine and kept as a small file.

The cost is the time of the fastest of repeated ticks by the wall clock. On a shared machine that is
neither what the device could do nor what it does on average: `CPU_TIME` measures the former, on a
CPU with one thread, and `MEAN` the latter.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from models.files.shelf import find
from models.runtimes.denoiser import NetworkDenoiser
from models.schema.specs import Adams, Ddpm
from service.engine.engine import Engine
from service.engine.scheduler import SchedulerLimits
from service.jobs import Job, Task
from service.kinds.anomalies.task import AnomalyTask
from service.kinds.likelihoods.task import ScoreTask
from service.kinds.samples.task import SampleTask
from service.loading import LoadedModel, load_models
from service.price import price

FOREVER = 1e12
REPEATS, WARM = 25, 5

Clock = Callable[[], float]
Pick = Callable[[Sequence[float]], float]
WALL, CPU_TIME = time.perf_counter, time.process_time
FASTEST: Pick = min
MEAN: Pick = statistics.fmean
PROBES = (0, 1, 2)
# The rows of one job, and the ticks at its start and end that are not measured.
ROWS, EVALUATIONS = 16, 12


@dataclass(frozen=True)
class Cost:
    """Seconds of a tick.

    `calls` has the measured (rows, seconds) for each number of probes, `job` the seconds that one
    job adds where it begins and ends, `edge` the seconds that its client waits outside the engine.
    """

    execution: str
    model: str
    threads: int
    quantum: int
    calls: Mapping[int, tuple[tuple[float, float], ...]]
    job: float = 0.0
    edge: float = 0.0

    def tick(self, rows: Mapping[int, int]) -> float:
        """Return the seconds of a tick that runs these numbers of rows for each number of probes.

        A tick without rows costs nothing. Raises KeyError for probes that were not measured.
        """
        return sum(self._call(probes, count) for probes, count in rows.items() if count)

    def rate(self, limits: SchedulerLimits | None = None) -> float:
        """Return the row-evaluations per second in full ticks of sampling."""
        tick = (limits or SchedulerLimits()).tick
        return tick / self.tick({0: tick})

    def write(self, path: Path) -> None:
        """Write the cost to a file."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a cost from a file."""
        found: dict[str, Any] = json.loads(path.read_text())
        calls = {
            int(probes): tuple((rows, seconds) for rows, seconds in points)
            for probes, points in found.pop("calls").items()
        }
        return cls(calls=calls, **found)

    def _call(self, probes: int, rows: int) -> float:
        sizes, seconds = zip(*self.calls[probes], strict=True)
        padded = -(-rows // self.quantum) * self.quantum
        return float(np.interp(padded, sizes, seconds))


def measure(
    model: str, device: torch.device, threads: int, clock: Clock = WALL, pick: Pick = FASTEST
) -> Cost:
    """Measure the ticks of a shipped checkpoint on this machine, with `edge` left at 0."""
    torch.set_num_threads(threads)
    root = find(model)[0].parent
    (loaded,) = (one for one in load_models(root, device) if one.manifest.name == model)
    denoiser = loaded.served.denoiser
    assert isinstance(denoiser, NetworkDenoiser)
    limits, quantum = SchedulerLimits(), denoiser.quantum
    calls = {}
    for probes in PROBES:
        most = limits.tick // price(rows=1, probes=probes)
        sizes = sorted({*range(quantum, most + 1, quantum), -(-most // quantum) * quantum})
        calls[probes] = tuple(
            (size, _tick(loaded, probes, min(size, most), clock, pick)) for size in sizes
        )
    return Cost(
        loaded.served.execution, model, threads, quantum, calls, job=_job(loaded, clock, pick)
    )


def mean(one: Cost, other: Cost) -> Cost:
    """Return the mean of two measurements of the same device."""
    calls = {
        probes: tuple(
            (rows, (seconds + again) / 2)
            for (rows, seconds), (_, again) in zip(points, other.calls[probes], strict=True)
        )
        for probes, points in one.calls.items()
    }
    return replace(one, calls=calls, job=(one.job + other.job) / 2)


def _tick(loaded: LoadedModel, probes: int, rows: int, clock: Clock, pick: Pick) -> float:
    """Return the seconds of a tick in which `rows` rows run and none begins or ends."""
    steps = _steps(loaded, _task(loaded, probes, rows, WARM + REPEATS + 1), clock)
    return pick([next(steps) for _ in range(WARM + REPEATS)][WARM:])


def _job(loaded: LoadedModel, clock: Clock, pick: Pick) -> float:
    """Return the seconds that a job costs beside its ticks."""
    task = _task(loaded, 0, ROWS, EVALUATIONS)
    runs = [list(_steps(loaded, task, clock)) for _ in range(REPEATS)]
    first, *between, last = (pick(times) for times in zip(*runs, strict=True))
    return max(0.0, first + last - 2 * pick(between))


def _steps(loaded: LoadedModel, task: Task, clock: Clock) -> Iterator[float]:
    """Return the seconds of each tick of a job that runs alone."""
    engine = Engine({loaded.manifest.sha256: loaded.served})
    engine.submit(Job("only", loaded.manifest.sha256, task, FOREVER, 0.0))
    while len(engine):
        began = clock()
        engine.step(0.0)
        if loaded.served.device.type == "cuda":
            torch.cuda.synchronize(loaded.served.device)
        yield clock() - began


def _task(loaded: LoadedModel, probes: int, rows: int, evaluations: int) -> Task:
    if not probes:
        return SampleTask(Ddpm(steps=evaluations), seed=0, count=rows)
    config = loaded.manifest.config
    images = np.random.default_rng(0).integers(
        config.vocabulary, size=(rows, *config.image_shape), dtype=np.uint8
    )
    calibration = loaded.calibration
    if calibration is not None and calibration.solver.probes == probes:
        return AnomalyTask(calibration, seed=0, alpha=0.05, heatmap=False, images=images)
    return ScoreTask(Adams(probes=probes), seed=0, draws=1, images=images)
