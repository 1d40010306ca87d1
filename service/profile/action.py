"""The action of `mulan profile`: three passes over the ticks of one workload."""

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from models.cli.lazy import Outcome
from models.files.shelf import find
from models.runtimes.choice import Wish
from models.schema.errors import CheckpointError
from service.engine.scheduler import SchedulerLimits
from service.loading import LoadedModel, load_models, spare_threads
from service.profile.counting import NETWORK, PARTS, MarkedDenoiser, OperationCount
from service.profile.text import text
from service.profile.workload import Workload
from service.settings import SettingsError, read_settings
from service.telemetry.observers import EngineObserver
from service.telemetry.ticks import Tick, TickPart

COUNTED_TICKS = 20
TRACED_TICKS = 10
# How many kinds of operations outside the network are named.
NAMED = 12


class _Ticks(EngineObserver):
    """All ticks that ended."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []

    def tick_ended(self, tick: Tick) -> None:
        self.ticks.append(tick)


def profile(
    model: str,
    models: str | None,
    rows: int,
    images: int,
    solvers: Sequence[str],
    ticks: int,
    threads: int | None,
    trace: str | None,
) -> Outcome:
    """Measure the engine. Raises CheckpointError for a checkpoint, a solver or a setting that
    there is not."""
    loaded, threads = load(model, models, threads)
    names = tuple(solvers) or ("balanced",)
    served = loaded.served._replace(denoiser=MarkedDenoiser(loaded.served.denoiser))
    try:
        workload = Workload(loaded, served, names, rows, images)
    except ValueError as error:
        raise CheckpointError(f"no such solver: {', '.join(names)}") from error
    workload.warm_up()
    timed = _Ticks()
    for _ in tqdm(range(ticks), desc="ticks", unit="tick", leave=False):
        workload.tick(timed)
    counted = OperationCount()
    counts = min(ticks, COUNTED_TICKS)
    for _ in range(counts):
        with counted:
            workload.tick(counted)
    if trace is not None:
        _trace(workload, Path(trace))
    record = {
        "model": model,
        "execution": loaded.served.execution,
        "threads": threads,
        "rows": rows,
        "images": images,
        "solvers": names,
        "ticks": ticks,
        **_times(timed.ticks),
        "operations": {part: counted.parts[part] / counts for part in PARTS},
        "operations_outside": sum(counted.outside.values()) / counts,
        "operations_by_name": {
            name: number / counts for name, number in counted.outside.most_common(NAMED)
        },
        "trace": trace,
    }
    return Outcome(record, text(record))


def load(model: str, models: str | None, threads: int | None) -> tuple[LoadedModel, int]:
    """Load one checkpoint as a worker does."""
    try:
        settings = read_settings(models=models, threads=threads)
    except SettingsError as error:
        raise CheckpointError(str(error)) from error
    torch.set_num_threads(settings.threads)
    folder, _ = find(model, settings.models)
    with tempfile.TemporaryDirectory() as shelf:
        (Path(shelf) / folder.name).symlink_to(folder.resolve(), target_is_directory=True)
        wish = Wish(settings.runtime, settings.sample_dtype, settings.cache, settings.threads)
        found = load_models(Path(shelf), rows=settings.tick or SchedulerLimits().tick, wish=wish)
    if not found:
        raise CheckpointError(f"{model} cannot be served")
    spare_threads(found)
    return found[0], settings.threads


def _times(ticks: Sequence[Tick]) -> dict[str, object]:
    """Return the mean milliseconds of each part of a tick, and what the ticks did."""
    parts: dict[TickPart, float] = {
        part: 1e3 * statistics.fmean(tick.parts.get(part, 0.0) for tick in ticks) for part in PARTS
    }
    calls = [call for tick in ticks for call in tick.calls]
    seconds = sum(tick.seconds for tick in ticks)
    return {
        "milliseconds": parts,
        "tick_ms": 1e3 * seconds / len(ticks),
        "network_share": parts[NETWORK] / sum(parts.values()),
        "rows_a_tick": sum(sum(call.rows.values()) for call in calls) / len(ticks),
        "calls_a_tick": len(calls) / len(ticks),
        "row_evaluations_per_second": sum(call.work for call in calls) / seconds,
    }


def _trace(workload: Workload, path: Path) -> None:
    """Write a trace of a few ticks."""
    with torch.profiler.profile() as profiler:
        for _ in range(TRACED_TICKS):
            with torch.profiler.record_function("tick"):
                workload.tick()
    profiler.export_chrome_trace(str(path))
