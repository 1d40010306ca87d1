"""The measurements, each a list of figures."""

import asyncio
import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from loadtests.engine_overhead import service_rate
from loadtests.gpu.place import PROBES, Place, flops_of_a_row, inputs, runtimes
from loadtests.local import running_service
from models.checkpoints.checkpoint import save_manifest, save_weights
from models.network.network import Network
from models.network.pixels import data_to_tokens
from models.rows.rows import take
from models.runtimes.denoiser import NetworkDenoiser
from models.runtimes.runtime import Precision
from models.schema.manifest import Manifest
from models.schema.specs import Adams, Ddpm, Dpm2m, SamplerSpec
from models.solvers import SAMPLERS
from models.solvers.adams import AdamsSolver
from models.work.likelihood import score_problem
from models.work.sampling import sample_problem
from models.work.solve import solve
from service.engine.engine import Engine
from service.engine.events import Ended
from service.engine.scheduler import SchedulerLimits
from service.errors import ServiceError
from service.jobs import Job, Task
from service.kinds.likelihoods.task import ScoreTask
from service.kinds.samples.task import SampleTask
from service.rows import Served
from service.telemetry.observers import EngineObserver
from service.telemetry.ticks import Tick

Figures = list[dict[str, Any]]
SIZES = (1, 16, 64, 128)
IMAGES, JOBS_INSIDE, PLACE_OF_ONE = 64, 8, 10
SCORED_TOGETHER = 16
WARM_TICKS, PROFILED_TICKS = 3, 6
DRAWN: tuple[SamplerSpec, ...] = (Ddpm(steps=1000), Ddpm(steps=20), Dpm2m(steps=20))
# Random networks are so rough that step control would never end; trained ones take about so many.
SCORED = Adams(probes=PROBES, max_evaluations=100)
COMPARED = Ddpm(steps=20)
NAME, FOREVER = "random", 1e12
# A network of this size is captured in tens of seconds.
START_S = 240.0
# Of a request to the service on a GPU: some ten seconds of work in all.
STEPS: dict[Precision, int] = {"float32": 20, "bfloat16": 60}


def network(place: Place) -> Iterator[dict[str, Any]]:
    """Measure calls of the network alone: each runtime and size, forward and with two probes."""
    config = place.model.config
    flops = flops_of_a_row(config)
    every = list(itertools.product(runtimes(place.model), SIZES))
    for runtime, rows in tqdm(every, desc="network"):
        *asked, cotangents = inputs(config, rows, place.device)
        forward = place.rate(lambda call=runtime.score, given=asked: call(*given))
        measured = {
            "runtime": runtime.name,
            "precision": runtime.precision,
            "rows": rows,
            "forward_ms": 1000 / forward,
            "forward_tflops": forward * rows * flops / 1e12,
        }
        if runtime.precision == "float32":
            pulling = place.rate(
                lambda call=runtime.score_and_pull, given=(*asked, cotangents): call(*given)
            )
            measured["with_two_probes_ms"] = 1000 / pulling
        yield measured


class _Busy(EngineObserver):
    """An engine that never runs out of jobs of one kind, and counts its row-evaluations."""

    def __init__(
        self, place: Place, denoiser: NetworkDenoiser, tick: int, task: Callable[[int], Task]
    ) -> None:
        served = Served(denoiser, place.device, "measured")
        self.engine = Engine({NAME: served}, SchedulerLimits(tick=tick), self)
        self.numbers, self.task, self.rows = itertools.count(), task, 0

    def tick(self) -> None:
        while len(self.engine) < JOBS_INSIDE:
            number = next(self.numbers)
            self.engine.submit(Job(f"job {number}", NAME, self.task(number), FOREVER, 0.0))
        for event in self.engine.step(0.0):
            if isinstance(event, Ended) and isinstance(event.outcome, ServiceError):
                raise event.outcome

    def tick_ended(self, tick: Tick) -> None:
        self.rows += sum(sum(call.rows.values()) for call in tick.calls)


def sampling(place: Place, denoiser: NetworkDenoiser, tick: int) -> Figures:
    """Measure an engine that is full of images to draw, beside a bare loop of equal calls."""
    given = inputs(place.model.config, tick, place.device)[:3]
    bare = tick * place.rate(lambda: denoiser.runtime.score(*given))
    return [
        {
            "kind": f"{spec.name}, {spec.evaluations} evaluations, {denoiser.runtime.precision}",
            **_full(place, denoiser, tick, lambda seed, spec=spec: SampleTask(spec, seed, IMAGES)),
            "bare_row_evaluations_per_s": bare,
            "evaluations": spec.evaluations,
        }
        for spec in tqdm(DRAWN, desc=f"images in {denoiser.runtime.precision}")
    ]


def scoring(place: Place, denoiser: NetworkDenoiser, tick: int) -> Figures:
    """Measure an engine that is full of images to score, beside a bare loop of equal calls."""
    config, rows = place.model.config, tick // (1 + PROBES)
    shape = (IMAGES, *config.image_shape)
    images = np.random.default_rng(0).integers(0, config.vocabulary, shape, dtype=np.uint8)
    given = inputs(config, rows, place.device)
    found = _full(place, denoiser, tick, lambda seed: ScoreTask(SCORED, seed, 1, images))
    bare = rows * place.rate(lambda: denoiser.runtime.score_and_pull(*given))
    return [
        {
            "kind": f"likelihoods, {SCORED.max_evaluations} evaluations with two probes",
            **found,
            "bare_row_evaluations_per_s": bare,
            "evaluations": SCORED.max_evaluations,
        }
    ]


def _full(
    place: Place, denoiser: NetworkDenoiser, tick: int, task: Callable[[int], Task]
) -> dict[str, Any]:
    busy = _Busy(place, denoiser, tick, task)
    for _ in range(WARM_TICKS):
        busy.tick()
    place.wait()
    busy.rows = 0
    _, spent = place.repeat(busy.tick)
    rate = busy.rows / spent
    share = place.busy_share(lambda: [busy.tick() for _ in range(PROFILED_TICKS)])
    return {"row_evaluations_per_s": rate, "device_busy": share}


def service(place: Place, precision: Precision, bare: float) -> dict[str, Any]:
    """Measure the whole service, HTTP and pictures included, in requests of 16 images, beside the
    `bare` rate of a loop."""
    device = str(place.device) if place.on_cuda else "cpu"
    runtime = "cuda-graph" if place.on_cuda else "eager"
    steps = STEPS[precision] if place.on_cuda else 5
    chosen = ["--devices", device, "--threads", "1", "--runtime", runtime]
    chosen += ["--sample-dtype", precision]
    with tempfile.TemporaryDirectory() as folder:
        _save(place.model, Path(folder) / NAME)
        log = Path(tempfile.gettempdir()) / "mulan-on-gpu.log"
        started = running_service("--models", folder, *chosen, log=log, ready_within_s=START_S)
        with started as address:
            asyncio.run(service_rate(address, NAME, requests=8, count=16, steps=5))
            rate = asyncio.run(service_rate(address, NAME, requests=24, count=16, steps=steps))
    return {
        "kind": f"the service, ddpm of {steps} steps, {precision}",
        "row_evaluations_per_s": rate,
        "bare_row_evaluations_per_s": bare,
    }


def _save(model: Network, folder: Path) -> None:
    tensors = model.state_dict()
    sha256 = save_weights(folder, model.config, tensors)
    parameters = sum(tensor.numel() for tensor in tensors.values())
    save_manifest(
        folder, Manifest(name=NAME, config=model.config, sha256=sha256, parameters=parameters)
    )


def same_bytes(place: Place, denoiser: NetworkDenoiser) -> bool:
    """Compare an image drawn alone with the same one among others."""
    one = torch.tensor([PLACE_OF_ONE], device=place.device)
    among, alone = _drawn(place, denoiser, IMAGES), _images(denoiser, one)
    return bool(torch.equal(take(among, one), alone))


def score_difference(place: Place, denoiser: NetworkDenoiser) -> float:
    """Return by how many nats a score computed alone differs from the same one among others."""
    scorer = AdamsSolver()

    def scored(tokens: Tensor) -> Tensor:
        problem = score_problem(denoiser, tokens, SCORED, 0, 1)
        density = scorer.density(problem, solve(scorer, problem, denoiser))
        return density.prior + density.log_det.mean(1) + density.dequantization

    one = torch.tensor([PLACE_OF_ONE], device=place.device)
    tokens = data_to_tokens(_drawn(place, denoiser, SCORED_TOGETHER), place.model.config)
    return float((take(scored(tokens), one) - scored(take(tokens, one))).abs())


def _drawn(place: Place, denoiser: NetworkDenoiser, count: int) -> Tensor:
    return _images(denoiser, torch.arange(count, device=place.device))


def _images(denoiser: NetworkDenoiser, index: Tensor) -> Tensor:
    sampler = SAMPLERS[COMPARED.name]
    problem = sample_problem(denoiser, COMPARED, 3, index)
    return sampler.sample(problem, solve(sampler, problem, denoiser)).x
