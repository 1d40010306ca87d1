"""Models exchanged under load: no request fails, and every answer is the named checkpoint's.

`python -m loadtests.flips` does the same for longer, with the shipped checkpoint.
"""

import asyncio
import os
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from process_harness import SOON, running, until
from redis_server import RedisServer
from tiny_zoo import write_checkpoint

from loadtests.flips.checkpoints import NAME, Place, exchange
from loadtests.flips.run import Plan, run
from models.anomaly.kept import read_calibration, save_calibration
from models.schema.manifest import WEIGHTS, read_manifest
from service import following, live_models
from service.serve import Serve
from service.serve_api import Api
from service.serve_worker import WorkerProcess
from service.settings import Settings

pytestmark = pytest.mark.anyio
PLAN = Plan(requests=100, flips=4, every=2.0, clients=6, seeds=10, long_steps=100)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_models, "KEPT_S", 1.5)
    monkeypatch.setattr(following, "ORDERS_EVERY_S", 0.05)
    monkeypatch.setattr(following, "LOOK_EVERY_S", 0.05)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A models folder, and two checkpoints of one name."""
    sources = []
    for seed in (3, 1):
        sources.append(tmp_path / str(seed) / NAME)
        write_checkpoint(sources[-1], seed)
    shutil.copytree(sources[-1], tmp_path / "models" / NAME)
    return Place(tmp_path, tmp_path / "models", sources)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[str]:
    async with running(Serve, settings) as (process, _):
        await ready(process.url)
        yield process.url


@asynccontextmanager
async def fleet(settings: Settings, workers: int) -> AsyncIterator[tuple[str, dict[str, int]]]:
    """An API and workers in this process."""
    async with AsyncExitStack() as stack:
        found = {}
        for _ in range(workers):
            process, _ = await stack.enter_async_context(running(WorkerProcess, settings))
            await ready(process.url)
            found[process.url] = os.getpid()
        api, _ = await stack.enter_async_context(running(Api, settings))
        await ready(api.url)
        yield api.url, found


async def ready(url: str) -> None:
    async with httpx.AsyncClient(timeout=SOON) as client, asyncio.timeout(SOON):
        while (await client.get(f"{url}/readyz")).status_code != 200:
            await asyncio.sleep(0.02)


async def in_thread(address: str, workers: dict[str, int], place: Place, plan: Plan) -> bool:
    """Press from a thread of its own, as clients are elsewhere."""
    return await asyncio.to_thread(lambda: asyncio.run(run(address, workers, place, plan)))


async def test_one_process(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(models=place.root, model_control=True, threads=1)
    async with serving(settings) as url:
        assert await in_thread(url, {url: os.getpid()}, place, PLAN)
        async with httpx.AsyncClient(base_url=url, timeout=SOON) as client:
            (model,) = (await client.get("/v1/models")).json()["models"]
            assert model["checkpoint"] == read_manifest(place.root / NAME).sha256
            metrics = (await client.get("/metrics")).text
            assert f'mulan_model_workers{{model="{NAME}"}} 1.0' in metrics
            assert 'mulan_model_changes_total{outcome="failed"} 0.0' in metrics
            (await client.post(f"/v2/repository/models/{NAME}/unload")).raise_for_status()
            assert (await client.get("/v1/models")).json() == {"models": []}
            assert (await client.get(f"/v1/models/{NAME}")).status_code == 404
            async with asyncio.timeout(SOON):
                while f'mulan_model_workers{{model="{NAME}"}}' in metrics:
                    metrics = (await client.get("/metrics")).text
                    await asyncio.sleep(0.1)
    assert "failed or other than the named checkpoint's: 0" in capsys.readouterr().out


async def test_a_fleet(
    place: Place, server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(store=server.url, models=place.root, model_control=True, threads=1)
    async with fleet(settings, workers=2) as (url, workers):
        assert await in_thread(url, workers, place, PLAN)
        # A damaged checkpoint is refused by both, and what they serve stays.
        before = read_manifest(place.root / NAME).sha256
        shutil.rmtree(place.root / NAME)
        # Of another checkpoint than those that may still be in memory.
        write_checkpoint(place.root / NAME, seed=7)
        (place.root / NAME / WEIGHTS).write_bytes(b"")
        async with httpx.AsyncClient(base_url=url, timeout=SOON) as client:
            refusal = await client.post(f"/v2/repository/models/{NAME}/load")
            assert refusal.status_code == 400
            assert "weights.safetensors" in refusal.json()["error"]
            (model,) = (await client.get("/v1/models")).json()["models"]
            assert model["checkpoint"] == before
            drawn = await client.post("/v1/samples", json={"model": NAME, "count": 1})
            assert drawn.json()["checkpoint"] == before
            # What is unloaded is unknown, also to a worker that starts later.
            (await client.post(f"/v2/repository/models/{NAME}/unload")).raise_for_status()
            unknown = await client.post("/v1/samples", json={"model": NAME, "count": 1})
            assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown-model")
            shutil.rmtree(place.root / NAME)
            shutil.copytree(place.sources[1], place.root / NAME)
            async with running(WorkerProcess, settings) as (late, _):
                await ready(late.url)
                assert (await client.get("/v1/models")).json() == {"models": []}
    assert "failed or other than the named checkpoint's: 0" in capsys.readouterr().out


async def test_a_watched_folder_brings_checkpoints_and_calibrations(place: Place) -> None:
    settings = Settings(models=place.root, watch_models=True, threads=1)
    async with serving(settings) as url, httpx.AsyncClient(base_url=url, timeout=SOON) as client:
        path, folder = f"/v1/models/{NAME}", place.root / NAME

        async def described() -> dict[str, object]:
            found: dict[str, object] = (await client.get(path)).json()
            return found

        assert (await client.post(f"/v2/repository/models/{NAME}/load")).status_code == 404
        shutil.copytree(place.sources[0], folder, dirs_exist_ok=True)
        new = read_manifest(folder)
        async with asyncio.timeout(SOON):
            while (await described())["checkpoint"] != new.sha256:
                await asyncio.sleep(0.05)
        calibration = read_calibration(folder, new)
        assert calibration is not None
        save_calibration(folder, calibration.model_copy(update={"seed": 42}))
        async with asyncio.timeout(SOON):
            while (await described())["calibration"]["seed"] != 42:  # type: ignore[index]
                await asyncio.sleep(0.05)


async def test_drift_is_tested_anew_after_a_new_calibration(place: Place) -> None:
    settings = Settings(models=place.root, model_control=True, threads=1)
    gauge = f'mulan_anomaly_martingale_log10_max{{model="{NAME}",source="none"}}'
    async with serving(settings) as url, httpx.AsyncClient(base_url=url, timeout=SOON) as client:

        async def highest() -> float:
            lines = (await client.get("/metrics")).text.splitlines()
            return next((float(line.split()[1]) for line in lines if line.startswith(gauge)), 0.0)

        drawn = await client.post("/v1/samples", json={"model": NAME, "count": 24, "seed": 3})
        body = {"model": NAME, "images": [one["png"] for one in drawn.json()["images"]]}
        judged = await client.post("/v1/anomalies", json=body | {"alpha": 0.05})
        assert judged.status_code == 200, judged.text
        before = 0.0
        async with asyncio.timeout(SOON):
            while not before:
                before = await highest()
                await asyncio.sleep(0.05)
        calibration = read_calibration(place.root / NAME, read_manifest(place.root / NAME))
        assert calibration is not None
        save_calibration(place.root / NAME, calibration.model_copy(update={"seed": 42}))
        (await client.post(f"/v2/repository/models/{NAME}/load")).raise_for_status()
        body["images"] = body["images"][:1]
        judged = await client.post("/v1/anomalies", json=body | {"alpha": 0.05})
        assert judged.status_code == 200
        async with asyncio.timeout(SOON):
            while not await highest() < before:
                await asyncio.sleep(0.05)


async def test_other_requests_are_answered_while_a_checkpoint_loads(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    loading, proceed = threading.Event(), threading.Event()
    load = live_models.load_beside

    def slowly(*arguments: object) -> object:
        loading.set()
        assert proceed.wait(SOON)
        return load(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(live_models, "load_beside", slowly)
    settings = Settings(models=place.root, model_control=True, threads=1)
    async with serving(settings) as url, httpx.AsyncClient(base_url=url, timeout=SOON) as client:
        flip = asyncio.create_task(asyncio.to_thread(exchange, url, place.sources[0], place.root))
        await until(loading.is_set)
        old = read_manifest(place.sources[1]).sha256
        drawn = await client.post("/v1/samples", json={"model": NAME, "count": 2})
        assert (drawn.status_code, drawn.json()["checkpoint"]) == (200, old)
        proceed.set()
        assert (await flip).checkpoint == read_manifest(place.sources[0]).sha256
