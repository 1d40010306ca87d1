"""A small network with weights that matter, and ways to drive an engine by hand."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from models.network.mulan import Mulan
from models.runtimes.eager import eager_denoiser
from models.schema.mulan import MulanConfig
from models.schema.specs import Adams, SamplerSpec, sampler_spec
from service.engine.engine import Engine
from service.engine.events import Ended, Event
from service.jobs import Job, Outcome, Task, Tokens
from service.kinds.likelihoods.task import ScoreTask
from service.kinds.samples.task import SampleTask
from service.rows import Served

CHECKPOINT = "0" * 64
FOREVER = 1e12

CONFIG = MulanConfig(
    image_shape=(8, 8, 1),
    vocabulary=17,
    width=16,
    depth=1,
    encoder_depth=1,
    groups=4,
    latent_size=4,
    latent_k=1,
    schedule_width=16,
    fourier=(0,),
    time_scale=10.0,
    gamma_min=-7.9,
)

PIECES = 4


def short(name: str) -> SamplerSpec:
    """A registered sampler with its defaults, in a few steps or segments."""
    return sampler_spec(name).with_pieces(PIECES)


def small_model(seed: int = 0, config: MulanConfig = CONFIG) -> Mulan:
    """A network none of whose layers starts at zero."""
    torch.manual_seed(seed)
    model = Mulan(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.05)
    return model.eval().requires_grad_(False)


def small_served() -> Served:
    """The small network, ready to serve."""
    return Served(eager_denoiser(small_model()), torch.device("cpu"), "cpu/test")


def job(name: str, task: Task, deadline: float = FOREVER, checkpoint: str = CHECKPOINT) -> Job:
    return Job(id=name, checkpoint=checkpoint, task=task, deadline=deadline, created_at=0.0)


def samples(name: str, spec: SamplerSpec, count: int, seed: int = 7) -> Job:
    return job(name, SampleTask(spec, seed, count))


def drive(
    engine: Engine, jobs: Sequence[Job] = (), later: Mapping[int, Sequence[Job]] | None = None
) -> tuple[dict[str, Outcome], list[Event]]:
    """Step until nothing is left: each job's outcome, and all events. `later` submits more jobs
    before the tick that it names."""
    pending = dict(later or {})
    events: list[Event] = []
    for one in jobs:
        engine.submit(one)
    tick = 0
    while pending or not engine.idle:
        for one in pending.pop(tick, ()):
            engine.submit(one)
        events += engine.step(0.0)
        tick += 1
    ends = [event for event in events if isinstance(event, Ended)]
    assert len({end.job_id for end in ends}) == len(ends), "a job ended twice"
    return {end.job_id: end.outcome for end in ends}, events


def images(count: int, seed: int = 0) -> Tokens:
    """Random tokens `[count, 8, 8, 1]`."""
    chance = np.random.default_rng(seed)
    return chance.integers(0, CONFIG.vocabulary, (count, *CONFIG.image_shape), dtype=np.uint8)


def scores(name: str, tokens: Tokens, draws: int = 1, seed: int = 7, **spec: float) -> Job:
    """A short job of scoring."""
    settings = Adams.model_validate({"probes": 1, "tolerance_nats": 10.0, **spec})
    return job(name, ScoreTask(settings, seed, draws, tokens))
