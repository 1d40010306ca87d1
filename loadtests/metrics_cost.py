"""Measure the cost of metrics: microseconds for a tick, a request and a job, and their shares.

Runs with all metrics and with none alternate in one process, laps included. In a tick of
milliseconds the difference is lost in the noise, so counting is also timed by itself, many times
over, and its share is computed from that. One thread, the shipped `digits`.

    python -m loadtests.metrics_cost
"""

import argparse
import asyncio
import logging
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import numpy as np
import torch
from starlette.types import ASGIApp, Message

from models.schema.specs import Ddim, Ddpm, Dpm2m, RtkMala, SamplerSpec
from models.zoo import ZOO
from service.api import app as application
from service.api.context import Context
from service.api.gate import Gate
from service.catalogue import Catalogue
from service.engine import engine as engines
from service.engine.engine import Engine
from service.engine.events import Ended
from service.jobs import Job, Task
from service.kinds.anomalies.task import AnomalyTask
from service.kinds.samples.task import SampleTask
from service.loading import LoadedModel, load_models
from service.settings import Settings
from service.store.bounds import Bounds
from service.store.memory import MemoryStore
from service.store.quotas import Quotas
from service.telemetry import logs
from service.telemetry.engine import EngineMetrics
from service.telemetry.jobs import JobMetrics
from service.telemetry.observers import EngineObserver
from service.telemetry.registry import new_registry
from service.telemetry.ticks import Tick, TickPart

MICRO = 1e6
ALONE = 2_000
SPECS: tuple[SamplerSpec, ...] = (
    *(Ddpm(steps=1000), Ddim(steps=1000), Dpm2m(steps=1000)),
    RtkMala(segments=30, inner_steps=30),
)
WORK = {
    "1 row": ((SPECS[0], 1),),
    "64 rows": ((SPECS[0], 64),),
    "64 rows, 4 solvers, 16 jobs": tuple((spec, 4) for spec in SPECS) * 4,
}


def spent(call: Callable[[], object], times: int) -> float:
    """Return seconds for each call, over many calls."""
    began = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - began) / times


def by_turns(
    one: Callable[[], float], other: Callable[[], float], turns: int
) -> tuple[float, float]:
    """Return the medians of both, measured alternately; which is first also alternates."""
    found: tuple[list[float], list[float]] = ([], [])
    for turn in range(turns):
        for side in (0, 1) if turn % 2 else (1, 0):
            found[side].append((one, other)[side]())
    return statistics.median(found[0]), statistics.median(found[1])


def job(model: LoadedModel, task: Task, number: int = 0) -> Job:
    """Return a job that never has to end."""
    return Job(f"job-{number}", model.manifest.sha256, task, 1e12, 0.0, model=model.manifest.name)


class _Silent(Tick):
    def lap(self, part: TickPart) -> None:
        """Do nothing, in the place of a real lap."""


class _Bare(Engine):
    def _count(self) -> None:
        """Do nothing, in the place of a real count."""


class _Last(EngineObserver):
    """An observer that keeps the latest tick."""

    tick = Tick()

    def tick_ended(self, tick: Tick) -> None:
        self.tick = tick


def tick_line(model: LoadedModel, work: tuple[tuple[SamplerSpec, int], ...], turns: int) -> str:
    """Return milliseconds of a tick with and without metrics, and the time that counting takes."""
    names = {model.manifest.sha256: model.manifest.name}
    metrics, last = EngineMetrics(new_registry(), names), _Last()
    models = {model.manifest.sha256: model.served}
    counting, kept = (Engine(models, observer=observer) for observer in (metrics, last))
    bare = _Bare(models)
    for engine in (counting, bare, kept):
        for number, (spec, rows) in enumerate(work):
            engine.submit(job(model, SampleTask(spec, number, rows), number))
        engine.step(0.0)

    def step_bare() -> float:
        with mock.patch.object(engines, "Tick", _Silent):
            return spent(lambda: bare.step(0.0), 5)

    with_it, without = by_turns(lambda: spent(lambda: counting.step(0.0), 5), step_bare, turns)

    def count() -> None:
        kept._tick = tick = Tick()
        for part in last.tick.parts:
            tick.lap(part)
        kept._count()
        metrics.tick_began(last.tick)
        metrics.tick_ended(last.tick)

    alone = spent(count, ALONE)
    return (
        f"{with_it * 1e3:10.3f} {without * 1e3:10.3f} {alone * MICRO:10.1f} "
        f"{100 * alone / without:10.3f} %"
    )


class _Unobserved:
    """A stand-in for the metrics middleware that passes every request on."""

    def __init__(self, app: ASGIApp, **_: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope.setdefault("state", {})["trace"] = ""
        await self.app(scope, receive, send)


def api(model: LoadedModel) -> ASGIApp:
    """Return the API of a service that is ready and has no worker."""
    settings, catalogue, gate = Settings(), Catalogue(), Gate()
    catalogue.add(model.manifest, model.served.execution, model.calibration)
    gate.open()
    store = MemoryStore(Bounds.of(settings))
    return application.create_app(Context(settings, store, catalogue, gate, Quotas(settings)))


async def asked(app: ASGIApp, path: str, times: int) -> float:
    """Return seconds for each request, without a network."""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        """Discard a message."""

    began = time.process_time()
    for _ in range(times):
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
        await app(scope, receive, send)
    return (time.process_time() - began) / times


def request_line(model: LoadedModel, path: str, level: int, turns: int) -> str:
    """Return microseconds of a request with all middleware and with none."""
    with mock.patch.object(application, "Observation", _Unobserved):
        bare = api(model)
    counting = api(model)
    with asyncio.Runner() as runner:
        for app in (bare, counting):
            runner.run(asked(app, path, 50))
        logging.getLogger("mulan").setLevel(level)
        with_it, without = by_turns(
            lambda: runner.run(asked(counting, path, 200)),
            lambda: runner.run(asked(bare, path, 200)),
            turns,
        )
    return f"{with_it * MICRO:10.1f} {without * MICRO:10.1f} {(with_it - without) * MICRO:10.1f}"


def run(model: LoadedModel, task: Task) -> tuple[Any, float]:
    """Run a task on a fresh engine and return its outcome with the processor seconds it took."""
    engine = Engine({model.manifest.sha256: model.served})
    engine.submit(job(model, task))
    began = time.process_time()
    while True:
        for event in engine.step(0.0):
            if isinstance(event, Ended):
                return event.outcome, time.process_time() - began


def job_line(model: LoadedModel, task: Task) -> str:
    """Return milliseconds of a job and microseconds of all that is counted for it."""
    names = {model.manifest.sha256: model.manifest.name}
    metrics, one = JobMetrics(new_registry(), names), job(model, task)
    outcome, seconds = run(model, task)

    def count() -> None:
        metrics.claimed(one, 0.1)
        metrics.left_engine(one, 0.1)
        metrics.ended(one, "succeeded")
        metrics.result_stored(one, outcome)

    alone = spent(count, 20)
    return f"{seconds * 1e3:10.1f} {alone * MICRO:10.1f} {100 * alone / seconds:10.3f} %"


def main() -> None:
    """Print three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=21)
    turns = parser.parse_args().turns
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        (Path(folder) / "digits").symlink_to(ZOO / "digits")
        (model,) = load_models(Path(folder))
    print(f"{'a tick':32}    with, ms      without  alone, us      share")
    for name, work in WORK.items():
        print(f"{name:32} {tick_line(model, work, turns)}")
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123
        handler = logging.StreamHandler(nowhere)
        handler.setFormatter(logs.json_formatter())
        logging.getLogger("mulan").addHandler(handler)
        logging.getLogger("mulan").propagate = False
        print(f"\n{'a request, no network':32}    with, us      without difference")
        for path in ("/livez", "/v1/models/digits"):
            for words, level in (("", logging.WARNING), (", and a line of log", logging.DEBUG)):
                print(f"{path + words:32} {request_line(model, path, level, turns)}")
    images = np.random.default_rng(0).integers(0, 17, (16, *model.manifest.config.image_shape))
    calibration = model.calibration
    assert calibration is not None
    tasks: dict[str, Task] = {
        "16 images": SampleTask(Ddim(steps=20), 1, 16),
        "16 verdicts": AnomalyTask(calibration, 0, 0.05, False, images.astype(np.uint8)),
    }
    print(f"\n{'a job':32}    took, ms  alone, us      share")
    for name, task in tasks.items():
        print(f"{name:32} {job_line(model, task)}")


if __name__ == "__main__":
    main()
