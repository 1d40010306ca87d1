"""Models that change while a worker works: exchanged, refused, unloaded, dropped."""

import asyncio
import gc
import hashlib
import json
import logging
import threading
import time
import uuid
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
import torch
from prometheus_client import CollectorRegistry
from tiny_zoo import write_checkpoint

from models.anomaly.ranked import CALIBRATION
from models.files.folders import replacing_folder
from models.runtimes.choice import Wish
from models.schema.manifest import MANIFEST, WEIGHTS
from models.schema.specs import Ddpm, SamplerSpec
from service import live_models, memory
from service.errors import (
    CheckpointRefused,
    ComputationFailed,
    NotEnoughMemory,
    ServiceError,
    UnknownModel,
)
from service.jobs import Job, Outcome
from service.kinds.samples.task import SampleResult, SampleTask
from service.live_models import LiveModels, Place
from service.loading import LoadedModel, load_beside, load_on
from service.store.bounds import Bounds
from service.store.memory import MemoryStore
from service.telemetry.models import ModelMetrics
from service.worker import Worker

pytestmark = pytest.mark.anyio
SOON = 60.0
CPU = torch.device("cpu")
LONG, SHORT = Ddpm(steps=1000), Ddpm(steps=3)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Running:
    """A worker with the models of a folder, and a store."""

    def __init__(self, root: Path) -> None:
        self.root, self.registry = root, CollectorRegistry()
        self.store = MemoryStore(Bounds(capacity=100, retained=100, retention_s=100.0))
        place = Place(root, [CPU], 16, Wish("eager"), 1)
        loaded = load_on(place.devices, root, place.rows, place.wish)
        self.names = {model.manifest.sha256: model.manifest.name for model in loaded[0]}
        served = {model.manifest.sha256: model.served for model in loaded[0]}
        self.worker = Worker(self.store, served)
        metrics = ModelMetrics(self.registry, {})
        self.changes = 0
        self.models = LiveModels(
            place, loaded, self.names, self.worker, self.store, metrics, self._changed
        )

    async def _changed(self) -> None:
        self.changes += 1

    @property
    def serving(self) -> dict[str, str]:
        return {model.manifest.name: model.manifest.sha256 for model in self.models.announced}

    def counted(self, outcome: str) -> float | None:
        labels = {"outcome": outcome}
        return self.registry.get_sample_value("mulan_model_changes_total", labels)

    async def put(self, checkpoint: str, spec: SamplerSpec = SHORT) -> str:
        task = SampleTask(spec, 7, 1)
        return await self.store.put(Job(uuid.uuid4().hex, checkpoint, task, 1e12, time.time()))

    async def result(self, job_id: str) -> Outcome:
        async with asyncio.timeout(SOON):
            outcome = (await self.store.wait(job_id)).outcome
        assert outcome is not None
        return outcome

    async def images(self, checkpoint: str) -> bytes:
        outcome = await self.result(await self.put(checkpoint))
        assert isinstance(outcome, SampleResult)
        return outcome.images.tobytes()


def replace_with(folder: Path, seed: int, mean_nll: float = 10.0) -> str:
    with replacing_folder(folder) as partial:
        (partial / folder.name).mkdir()
        sha256 = write_checkpoint(partial / folder.name, seed, mean_nll)
        for file in (partial / folder.name).iterdir():
            file.rename(partial / file.name)
        (partial / folder.name).rmdir()
    return sha256


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    write_checkpoint(tmp_path / "good", seed=1)
    write_checkpoint(tmp_path / "other", seed=2)
    running = Running(tmp_path)
    await running.worker.start()
    yield running
    await running.worker.stop(SOON)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_new_checkpoint_takes_the_name_and_makes_other_images(running: Running) -> None:
    old = running.serving["good"]
    before = await running.images(old)
    new = replace_with(running.root / "good", seed=3)
    found = await running.models.load("good")
    assert (found.name, found.checkpoint, found.before) == ("good", new, old)
    assert running.serving["good"] == new
    assert running.names[new] == running.names[old] == "good"
    assert running.changes == 1
    assert await running.images(new) != before
    # What was admitted before is still computed, by the weights that it was admitted for.
    assert await running.images(old) == before
    assert running.counted("loaded") == 1


async def test_jobs_of_the_old_checkpoint_end_on_it_and_then_it_is_dropped(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_models, "KEPT_S", 0.0)
    old = running.serving["good"]
    began = await running.put(old, LONG)
    await until(lambda: running.worker.jobs == 1)
    new = replace_with(running.root / "good", seed=3)
    await running.models.load("good")
    admitted = await running.put(old)
    await running.models.drop_unused()
    assert isinstance(await running.result(admitted), SampleResult)
    assert (await running.store.record(began)).status == "running", "it is no longer than the rest"
    assert isinstance(await running.result(await running.put(new)), SampleResult)
    outcome = await running.result(began)
    assert isinstance(outcome, SampleResult)
    assert outcome.nfe == (1000,)
    await running.models.drop_unused()
    # Nobody claims jobs of it any more.
    late = await running.put(old)
    assert isinstance(await running.result(await running.put(new)), SampleResult)
    assert (await running.store.record(late)).status == "queued"


async def test_it_stays_a_while_for_requests_that_found_it(running: Running) -> None:
    old = running.serving["good"]
    replace_with(running.root / "good", seed=3)
    await running.models.load("good")
    await running.models.drop_unused()
    assert await running.images(old)


async def test_what_is_dropped_leaves_its_memory(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_models, "KEPT_S", 0.0)
    await running.images(running.serving["good"])
    denoiser = weakref.ref(running.models._serving["good"][0].served.denoiser)
    new = replace_with(running.root / "good", seed=3)
    await running.models.load("good")
    await running.models.drop_unused()
    await running.images(new)
    gc.collect()
    assert denoiser() is None


async def test_a_name_goes_back_at_once_while_the_old_is_there(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[Path] = []
    watch_loads(monkeypatch, loads.append)
    old = running.serving["good"]
    new = replace_with(running.root / "good", seed=3)
    await running.models.load("good")
    assert replace_with(running.root / "good", seed=1) == old
    found = await running.models.load("good")
    assert (found.checkpoint, found.before) == (old, new)
    assert loads == [running.root / "good"]
    monkeypatch.setattr(live_models, "KEPT_S", 0.0)
    await running.models.drop_unused()
    assert await running.images(old)


async def test_a_new_calibration_is_read_and_no_weights(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[Path] = []
    watch_loads(monkeypatch, loads.append)
    replace_with(running.root / "good", seed=1, mean_nll=12.0)
    found = await running.models.load("good")
    assert found.before == found.checkpoint
    (good, other) = running.models.announced
    assert good.calibration is not None
    assert other.calibration is not None
    assert (good.calibration.mean_nll, other.calibration.mean_nll) == (12.0, 10.0)
    assert not loads
    assert running.counted("read-again") == 1


async def test_a_model_is_unloaded_and_its_jobs_end(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_models, "KEPT_S", 0.0)
    old = running.serving["good"]
    began = await running.put(old, LONG)
    await until(lambda: running.worker.jobs == 1)
    await running.models.unload("good")
    assert running.serving.keys() == {"other"}
    assert running.models.unloaded == {"good"}
    await running.models.drop_unused()
    assert isinstance(await running.result(began), SampleResult)
    await running.models.drop_unused()
    with pytest.raises(UnknownModel):
        await running.models.unload("good")
    assert (await running.models.load("good")).before is None
    assert running.models.unloaded == set()
    assert await running.images(old)


def tampered(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(content)


def without_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def half_a_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_text('{"name": "good"')


def other_architecture(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["config"]["width"] = 16
    (folder / MANIFEST).write_text(json.dumps(manifest))


def damaged_calibration(folder: Path) -> None:
    (folder / CALIBRATION).write_text("{}")


def pickled(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")


def another_of_that_name(folder: Path) -> None:
    copy = folder.with_name("copy")
    copy.mkdir()
    (copy / MANIFEST).write_text((folder / MANIFEST).read_text())


def weights_of_another(folder: Path) -> None:
    for file in (MANIFEST, WEIGHTS):
        (folder / file).write_bytes((folder.with_name("other") / file).read_bytes())
    text = (folder / MANIFEST).read_text().replace('"name": "other"', '"name": "good"')
    (folder / MANIFEST).write_text(text)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (tampered, "SHA-256 is"),
        (without_weights, "No such file"),
        (half_a_manifest, "manifest.json"),
        (other_architecture, "configuration"),
        (damaged_calibration, "calibration.json"),
        (pickled, "No such file"),
        (another_of_that_name, "copy and good are both called good"),
        (weights_of_another, "these are the weights of other"),
    ],
)
async def test_what_is_broken_is_refused_and_the_old_serves_on(
    running: Running,
    harm: Callable[[Path], None],
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before, images = running.serving, await running.images(running.serving["good"])
    replace_with(running.root / "good", seed=3)
    harm(running.root / "good")
    with pytest.raises(CheckpointRefused, match=words) as refusal:
        await running.models.load("good")
    assert len(refusal.value.detail.splitlines()) == 1
    assert running.serving == before
    assert await running.images(before["good"]) == images
    assert (running.counted("failed"), running.changes) == (1, 0)
    assert [r.levelno for r in caplog.records if "good is not loaded" in r.getMessage()] == [
        logging.ERROR
    ]


async def test_weights_that_are_not_finite_are_refused(running: Running) -> None:
    write_checkpoint(running.root / "fresh", seed=4)
    manifest = json.loads((running.root / "fresh" / MANIFEST).read_text())
    content = bytearray((running.root / "fresh" / WEIGHTS).read_bytes())
    content[-4:] = b"\x00\x00\xc0\x7f"
    (running.root / "fresh" / WEIGHTS).write_bytes(content)
    manifest["sha256"] = hashlib.sha256(content).hexdigest()
    (running.root / "fresh" / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(CheckpointRefused, match="not finite"):
        await running.models.load("fresh")
    assert "fresh" not in running.serving


@pytest.mark.parametrize("name", ["nobody", "../good", "GOOD", "", "."])
async def test_an_unknown_name_is_unknown_and_counts_for_no_failure(
    running: Running, name: str
) -> None:
    with pytest.raises(UnknownModel):
        await running.models.load(name)
    assert running.counted("failed") == 0


async def test_what_does_not_fit_into_memory_is_refused(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = running.serving
    replace_with(running.root / "good", seed=3)
    monkeypatch.setattr(memory, "free_on", lambda device: 100_000_000)
    with pytest.raises(NotEnoughMemory, match=r"good takes up to .* MB .* has 100 MB free") as why:
        await running.models.load("good")
    assert (why.value.status, why.value.code, why.value.retry_after) == (
        *(503, "not-enough-memory", 30),
    )
    assert running.serving == before
    # A calibration takes no memory to speak of.
    assert replace_with(running.root / "good", seed=1, mean_nll=12.0) == before["good"]
    await running.models.load("good")


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (MemoryError(), NotEnoughMemory),
        (torch.OutOfMemoryError("CUDA out of memory"), NotEnoughMemory),
        (RuntimeError("no kernel\nfor this"), ComputationFailed),
    ],
)
async def test_a_load_that_breaks_down_leaves_the_old_in_service(
    running: Running,
    monkeypatch: pytest.MonkeyPatch,
    raised: Exception,
    expected: type[ServiceError],
) -> None:
    def fail(folder: Path) -> None:
        raise raised

    before = running.serving
    watch_loads(monkeypatch, fail)
    replace_with(running.root / "good", seed=3)
    with pytest.raises(expected) as failure:
        await running.models.load("good")
    assert len(failure.value.detail.splitlines()) == 1
    assert running.serving == before


async def test_of_two_loads_at_once_one_loads(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[Path] = []
    watch_loads(monkeypatch, loads.append)
    new = replace_with(running.root / "good", seed=3)
    both = await asyncio.gather(running.models.load("good"), running.models.load("good"))
    assert [found.checkpoint for found in both] == [new, new]
    assert both[1].before == new
    assert len(loads) == 1
    assert await running.images(new)


async def test_jobs_run_and_others_are_heard_while_a_checkpoint_loads(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    loading, proceed = threading.Event(), threading.Event()

    def wait(folder: Path) -> None:
        loading.set()
        assert proceed.wait(SOON)

    watch_loads(monkeypatch, wait)
    old, new = running.serving["good"], replace_with(running.root / "good", seed=3)
    load = asyncio.create_task(running.models.load("good"))
    await until(loading.is_set)
    assert await running.images(old)
    await running.models.drop_unused()
    assert running.serving["good"] == old
    proceed.set()
    assert (await load).checkpoint == new


def watch_loads(monkeypatch: pytest.MonkeyPatch, seen: Callable[[Path], None]) -> None:
    """Call `seen` on the loading thread before each load."""

    def load(
        devices: Sequence[torch.device], folder: Path, rows: int, wish: Wish
    ) -> list[LoadedModel]:
        seen(folder)
        return load_beside(devices, folder, rows, wish)

    monkeypatch.setattr(live_models, "load_beside", load)
