"""One engine a device behind one process: which devices, which checkpoints, which engine."""

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from process_harness import running, until
from tiny_zoo import write_checkpoint

from models.runtimes import choice
from models.runtimes.choice import Wish
from models.schema.specs import Ddpm
from service import hosted_worker, loading
from service.cli import main
from service.engine.thread import EngineThread
from service.errors import ServeError
from service.jobs import Job
from service.kinds.samples.task import SampleResult, SampleTask
from service.loading import find_devices, load_on
from service.serve import Serve
from service.settings import Settings

CPU = torch.device("cpu")
JOBS = 6


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("zoo")
    for name in ("good", "better"):
        write_checkpoint(root / name)
    return root


@pytest.mark.parametrize(
    ("cards", "names", "found"),
    [
        (0, "all", ["cpu"]),
        (0, "cpu", ["cpu"]),
        (2, "all", ["cuda:0", "cuda:1"]),
        (2, "cuda:1", ["cuda:1"]),
        (2, "cpu", ["cpu"]),
    ],
)
def test_the_setting_names_devices_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, cards: int, names: str, found: list[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    assert [str(device) for device in find_devices(names)] == found


@pytest.mark.parametrize("names", ["cuda", "cpu,cuda:0", "all,cuda:0", "cuda:0,cuda:0", "tpu", ""])
def test_what_is_no_list_of_devices_of_one_type_is_refused(names: str) -> None:
    result = CliRunner().invoke(main, ["serve", "--devices", names])
    assert result.exit_code == 2
    assert "MULAN_DEVICES (--devices)" in result.output


def test_a_device_that_is_not_there_ends_the_start_with_one_line(
    monkeypatch: pytest.MonkeyPatch, zoo: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    arguments = ["serve", "--port", "0", "--models", str(zoo), "--devices", "cuda:0,cuda:7"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert result.output == (
        "Error: there is no device cuda:7 (MULAN_DEVICES); CUDA devices here: cuda:0\n"
    )


def test_what_one_device_refuses_none_serves(monkeypatch: pytest.MonkeyPatch, zoo: Path) -> None:
    whole = loading.load_models
    full = iter([False, True])

    def one_is_full(*arguments: Any) -> list[loading.LoadedModel]:
        models = whole(*arguments)
        return models[1:] if next(full) else models

    monkeypatch.setattr(loading, "load_models", one_is_full)
    loaded = load_on([CPU, CPU], zoo, 16)
    assert [[model.manifest.name for model in models] for models in loaded] == [["good"]] * 2
    assert loaded[0][0].served.denoiser is not loaded[1][0].served.denoiser


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"execution": "cuda/new"}, "would run as cpu/.* and as cuda/new"),
        ({"sample_execution": "cuda/new"}, "samples cuda/new"),
    ],
)
def test_devices_that_give_other_bytes_are_refused(
    monkeypatch: pytest.MonkeyPatch, zoo: Path, changed: dict[str, Any], words: str
) -> None:
    whole = loading.load_models
    changes = iter([{}, changed])

    def another_kind(*arguments: Any) -> list[loading.LoadedModel]:
        change = next(changes)
        models = whole(*arguments)
        return [model._replace(served=model.served._replace(**change)) for model in models]

    monkeypatch.setattr(loading, "load_models", another_kind)
    with pytest.raises(ServeError, match=words):
        load_on([CPU, CPU], zoo, 16)


def test_all_devices_take_the_runtime_that_the_first_one_chose(
    monkeypatch: pytest.MonkeyPatch, zoo: Path
) -> None:
    wished: list[str] = []
    choose = loading.choose

    def recorded(checkpoint: Any, folder: Path, rows: int, wish: Wish) -> Any:
        wished.append(wish.runtime)
        # As where a measurement comes out another way each time.
        return choose(checkpoint, folder, rows, wish._replace(runtime="eager"))

    monkeypatch.setattr(loading, "choose", recorded)
    loaded = load_on([CPU, CPU], zoo, 16, Wish("auto"))
    assert wished == ["auto", "auto", "eager", "eager"]
    assert [model.runtime for models in loaded for model in models] == ["eager"] * 4


def job(name: str, checkpoint: str, seed: int) -> Job:
    task = SampleTask(Ddpm(steps=9), seed, count=3)
    now = time.time()
    return Job(name, checkpoint, task, deadline=now + 60, created_at=now, cost=27)


async def drawn(zoo: Path) -> tuple[list[bytes], list[str]]:
    """The images of some jobs that a whole process computes, and the executions it named."""
    async with running(Serve, Settings(port=0, models=zoo)) as (process, _):
        await until(lambda: bool(process.catalogue))
        checkpoint = process.catalogue.get("good").checkpoint
        jobs = [job(f"job{seed}", checkpoint, seed) for seed in range(JOBS)]
        for one in jobs:
            await process.store.put(one)
        outcomes = [(await process.store.wait(one.id)).outcome for one in jobs]
    results = [outcome for outcome in outcomes if isinstance(outcome, SampleResult)]
    assert len(results) == JOBS
    return [one.images.tobytes() for one in results], [one.execution for one in results]


def test_every_device_takes_jobs_and_none_changes_their_bytes(
    monkeypatch: pytest.MonkeyPatch, zoo: Path
) -> None:
    taken: Counter[int] = Counter()
    submit = EngineThread.submit

    def counted(thread: EngineThread, job: Job) -> None:
        taken[id(thread)] += 1
        submit(thread, job)

    monkeypatch.setattr(EngineThread, "submit", counted)
    alone = asyncio.run(drawn(zoo))
    assert list(taken.values()) == [JOBS]
    taken.clear()
    monkeypatch.setattr(hosted_worker, "find_devices", lambda names: [CPU, CPU])
    assert asyncio.run(drawn(zoo)) == alone
    assert sorted(taken.values()) == [JOBS // 2] * 2


@pytest.mark.parametrize(
    ("tick", "device", "price", "resident"),
    [(0, "cpu", 64, 512), (0, "cuda", 128, 1024), (24, "cuda", 24, 192)],
)
def test_a_tick_has_the_price_that_is_set_or_that_of_its_device(
    tick: int, device: str, price: int, resident: int
) -> None:
    limits = hosted_worker._limits(tick, device)
    assert (limits.tick, limits.resident) == (price, resident)


@pytest.mark.parametrize(
    ("runtime", "samples", "threads"),
    [("onnx", "", 1), ("eager", "", 2), ("onnx", "cpu/eager/bfloat16/torch", 2)],
)
def test_torch_keeps_its_threads_where_it_runs_a_network(
    zoo: Path, runtime: choice.RuntimeName, samples: str, threads: int
) -> None:
    model = loading.load_models(zoo, CPU, 16, Wish("eager"))[0]
    served = model.served._replace(sample_execution=samples)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        loading.spare_threads([model._replace(runtime=runtime, served=served)])
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
