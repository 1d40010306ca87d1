"""The API alone: a memory store, a tiny model's manifest, and a worker that computes nothing."""

import asyncio
import io
from collections.abc import Callable
from dataclasses import replace

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.anomaly.calibration import Calibration
from models.anomaly.fitting import fit
from models.anomaly.readings import Reading
from models.anomaly.statistics import FITTED
from models.schema.manifest import Manifest
from models.schema.mulan import MulanConfig
from models.schema.scores import Score
from models.schema.specs import FlowPath
from service.api.app import create_app
from service.api.context import Context
from service.api.gate import Gate
from service.catalogue import Catalogue
from service.control import Loaded
from service.errors import ServiceError
from service.jobs import Job, Outcome, Tokens
from service.kinds.anomalies.task import AnomalyResult, AnomalyTask
from service.kinds.likelihoods.task import ScoreResult
from service.kinds.samples.task import SampleResult, SampleTask
from service.kinds.schedules.task import ScheduleResult, ScheduleTask
from service.settings import Settings
from service.store.bounds import Bounds
from service.store.memory import MemoryStore
from service.store.quotas import Quotas

EXECUTION = "cpu/fake/float32/test"
CONFIG = MulanConfig(
    image_shape=(4, 3, 1),
    vocabulary=17,
    width=8,
    depth=1,
    groups=4,
    latent_size=6,
    latent_k=2,
    gamma_min=-7.9,
)
COLOUR = CONFIG.model_copy(update={"image_shape": (4, 3, 3), "vocabulary": 256})


def manifest(name: str, config: MulanConfig, **more: object) -> Manifest:
    sha256 = name.encode().hex().ljust(64, "0")[:64]
    return Manifest.model_validate(
        {"name": name, "config": config.model_dump(), "sha256": sha256, "parameters": 123} | more
    )


def compute(job: Job) -> Outcome:
    """Images and scores told by the seed, as any model's would be; schedules are straight lines."""
    if isinstance(job.task, SampleTask):
        count = job.task.count
        shape = (COLOUR if job.checkpoint == COLOUR_SHA else CONFIG).image_shape
        noise = np.random.default_rng(job.task.seed)
        images = noise.integers(0, 17, (count, *shape), dtype=np.uint8)
        return SampleResult(images, (20,) * count, (None,) * count, ((0, 3),) * count, EXECUTION)
    if isinstance(job.task, AnomalyTask):
        readings = [reading_of(image) for image in job.task.images]
        if not job.task.heatmap:
            readings = [replace(reading, contribution=None) for reading in readings]
        return AnomalyResult(tuple(readings), EXECUTION)
    if isinstance(job.task, ScheduleTask):
        latents = job.task.latents or ((0, 3),) * len(job.task.images)
        line = np.zeros((len(latents), 3, *job.task.images.shape[1:]), np.float32)
        line[:, 2] = np.sqrt(CONFIG.gamma_max - CONFIG.gamma_min)
        return ScheduleResult(latents, line, EXECUTION)
    scores = tuple(
        Score(nfe=90, log_px_given_z=-10.0 - float(image.sum()), bits_per_dim=1.5)
        for image in job.task.images
    )
    return ScoreResult(scores, EXECUTION)


def reading_of(image: Tokens) -> Reading:
    """Told by the image: brighter is stranger."""
    values = np.random.default_rng(int(image.sum())).random(len(FITTED) - 2) + image.mean()
    told = dict(zip(FITTED[:-2], values.tolist(), strict=True))
    return Reading(39, told, image.astype(np.float32))


def calibrated() -> Calibration:
    """For the tiny model, on 40 rather dark images; alpha from 1/41."""
    dice = np.random.default_rng(0)
    parts = [dice.integers(0, 9, (40, *CONFIG.image_shape), dtype=np.uint8) for _ in range(2)]
    density, own = (([reading_of(image) for image in part], part) for part in parts)
    return fit(manifest("tiny", CONFIG), FlowPath(), 0, density, own, "test")


CALIBRATION = calibrated()
COLOUR_SHA = manifest("colour", COLOUR).sha256


class FakeWorker:
    """Claims jobs and ends each with `answer`, once `proceed` is set; remembers them."""

    def __init__(self, store: MemoryStore, checkpoints: list[str]) -> None:
        self.store, self.checkpoints = store, checkpoints
        self.answer: Callable[[Job], Outcome] = compute
        self.proceed = asyncio.Event()
        self.proceed.set()
        self.jobs: list[Job] = []
        self.cancelled: list[str] = []

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hear())
            while True:
                claim = await self.store.claim(self.checkpoints)
                self.jobs.append(claim.job)
                await self.proceed.wait()
                await self.store.complete(claim, self.answer(claim.job))

    async def _hear(self) -> None:
        async for job_id in self.store.cancellations():
            self.cancelled.append(job_id)


class FakeControl:
    """Remembers what it is asked for, and does nothing, or raises `failure`."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.failure: ServiceError | None = None

    async def load(self, name: str) -> Loaded:
        self._ask("load", name)
        return Loaded(name, "b" * 64, "a" * 64, 2, ("w3: no such file",))

    async def unload(self, name: str) -> None:
        self._ask("unload", name)

    def _ask(self, action: str, name: str) -> None:
        self.asked.append((action, name))
        if self.failure:
            raise self.failure


class Service:
    """What a test holds: the application, its parts, and clients of it."""

    def __init__(self, settings: Settings) -> None:
        self.store = MemoryStore(Bounds.of(settings))
        self.gate = Gate()
        self.catalogue = Catalogue()
        self.catalogue.add(manifest("tiny", CONFIG), EXECUTION, CALIBRATION)
        fast = {"fast": {"name": "ddpm", "steps": 7, "grid": "time"}}
        self.catalogue.add(manifest("colour", COLOUR, presets=fast), EXECUTION)
        self.context = Context(settings, self.store, self.catalogue, self.gate, Quotas(settings))
        self.app = create_app(self.context)
        self.worker = FakeWorker(self.store, [model.checkpoint for model in self.catalogue])

    def client(self, **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers)


def png(pixels: NDArray[np.generic], mode: str | None = None) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, "PNG")
    return file.getvalue()


def npy(array: NDArray[np.generic], **options: bool) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, object]:
    assert (response.status_code, response.json().get("code")) == (status, code), response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = response.json()
    assert {"type", "title", "status", "detail", "instance", "request_id"} <= body.keys()
    assert body["status"] == status
    assert body["request_id"] == response.headers["x-request-id"]
    return body
