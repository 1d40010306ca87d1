"""Checkpoint folders to served models: the good serve, the bad get one line."""

import json
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_engine import CONFIG, drive, images, small_model

from models.anomaly.fitting import fit
from models.anomaly.kept import read_calibration, save_calibration
from models.anomaly.ranked import CALIBRATION
from models.anomaly.rows import read
from models.checkpoints.checkpoint import save_manifest, save_weights
from models.runtimes.eager import EagerRuntime, eager_denoiser
from models.schema import regular
from models.schema.manifest import (
    MANIFEST,
    WEIGHTS,
    Manifest,
    read_manifest,
)
from models.schema.ode_error import UNCALIBRATED, OdeErrorRecord
from models.schema.regular import open_regular
from models.schema.specs import Ddpm, FlowPath
from service.engine.engine import Engine
from service.jobs import Job
from service.kinds.samples.task import SampleResult, SampleTask
from service.loading import execution, load_models, read_again

CPU = torch.device("cpu")


def write(root: Path, name: str, seed: int = 0) -> Path:
    """A good checkpoint in `root`."""
    model = small_model(seed)
    folder = root / name
    sha256 = save_weights(folder, CONFIG, model.state_dict())
    parameters = sum(parameter.numel() for parameter in model.parameters())
    manifest = Manifest(name=name, config=CONFIG, sha256=sha256, parameters=parameters)
    save_manifest(folder, manifest)
    return folder


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_loaded_checkpoint_draws_images(tmp_path: Path) -> None:
    write(tmp_path, "small")
    (loaded,) = load_models(tmp_path, CPU)
    sha256 = loaded.manifest.sha256
    engine = Engine({sha256: loaded.served})
    outcomes, _ = drive(engine, [Job("a", sha256, SampleTask(Ddpm(steps=2), 0, 3), 1e12, 0.0)])
    outcome = outcomes["a"]
    assert isinstance(outcome, SampleResult)
    assert outcome.images.shape == (3, 8, 8, 1)
    assert outcome.execution == loaded.served.execution


def test_the_factors_of_the_ode_s_error_are_loaded_and_read_again(tmp_path: Path) -> None:
    folder = write(tmp_path, "small")
    loaded = load_models(tmp_path, CPU)
    assert loaded[0].served.ode_error_scales == UNCALIBRATED
    record = OdeErrorRecord(
        x_scale=0.5,
        scale=0.25,
        images=2,
        quantile=0.95,
        tolerance_nats=0.5,
        reference_steps=100,
        command="",
    )
    save_manifest(folder, loaded[0].manifest.model_copy(update={"ode_error": record}))
    (again,) = read_again(loaded, folder)
    assert again.served == loaded[0].served._replace(ode_error_scales=record.scales)
    assert load_models(tmp_path, CPU)[0].served.ode_error_scales == record.scales


def test_execution_names_device_runtime_dtype_and_build() -> None:
    device, runtime, dtype, build = execution(CPU, EagerRuntime(small_model())).split("/")
    assert (device, runtime, dtype) == ("cpu", "eager", "float32")
    assert torch.__version__.split("+")[0] in build


def truncate(folder: Path) -> None:
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:-100])


def tamper(folder: Path) -> None:
    path = folder / WEIGHTS
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def garble(folder: Path) -> None:
    (folder / MANIFEST).write_text("{not json")


def lose_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def lose_a_tensor(folder: Path) -> None:
    tensors = small_model().state_dict()
    del tensors["score.conv_out.bias"]
    sha256 = save_weights(folder, CONFIG, tensors)
    save_manifest(folder, Manifest(name="bad", config=CONFIG, sha256=sha256, parameters=1))


def take_a_name(folder: Path) -> None:
    model = small_model(2)
    sha256 = save_weights(folder, CONFIG, model.state_dict())
    save_manifest(folder, Manifest(name="a-good", config=CONFIG, sha256=sha256, parameters=1))


def hang_at_the_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    os.mkfifo(folder / MANIFEST)


def hang_at_the_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    os.mkfifo(folder / WEIGHTS)


def never_end(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).symlink_to("/dev/zero")


def never_end_at_the_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).symlink_to("/dev/zero")


def talk(folder: Path) -> None:
    edit(folder, evaluation={"text": "x" * 60_000_000})


def go_deep(folder: Path) -> None:
    edit(folder, config=CONFIG.model_dump(mode="json") | {"depth": 10**8})


def go_wide(folder: Path) -> None:
    edit(folder, config=CONFIG.model_dump(mode="json") | {"width": 10**9, "groups": 2})


def edit(folder: Path, **changes: object) -> None:
    document = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(document | changes))


@pytest.mark.parametrize(
    "spoil",
    [
        truncate,
        tamper,
        garble,
        lose_weights,
        lose_a_tensor,
        take_a_name,
        hang_at_the_manifest,
        hang_at_the_weights,
        never_end,
        never_end_at_the_weights,
        talk,
        go_deep,
        go_wide,
    ],
)
def test_a_bad_checkpoint_is_refused_in_one_line_and_the_others_serve(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None]
) -> None:
    write(tmp_path, "a-good", 0)
    bad = write(tmp_path, "bad", 1)
    write(tmp_path, "c-good", 3)
    spoil(bad)
    models = load_models(tmp_path, CPU)
    assert [model.manifest.name for model in models] == ["a-good", "c-good"]
    (line,) = refusals(caplog)
    assert line.startswith("refused bad: ")
    assert "\n" not in line


@pytest.mark.parametrize("name", [MANIFEST, WEIGHTS, CALIBRATION])
def test_a_file_that_never_answers_keeps_no_other_from_being_served(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    write(tmp_path, "a-good", 0)
    write(tmp_path, "hanging", 1)
    write(tmp_path, "z-good", 3)
    answer = threading.Event()

    def hang(path: Path) -> object:
        if (path.parent.name, path.name) == ("hanging", name):
            answer.wait()
        return open_regular(path)

    monkeypatch.setattr(regular, "PATIENCE_S", 0.2)
    monkeypatch.setattr(regular, "open_regular", hang)
    with caplog.at_level(logging.INFO, "service.loading"):
        models = load_models(tmp_path, CPU)
    answer.set()
    served = [model.manifest.name for model in models]
    assert [name for name in served if name != "hanging"] == ["a-good", "z-good"]
    # Without its calibration a checkpoint still draws and scores.
    assert ("hanging" in served) == (name == CALIBRATION)
    (line,) = refusals(caplog)
    assert line.endswith("no byte arrived for 0.2 seconds")
    begun = [r.getMessage() for r in caplog.records if r.getMessage().startswith("loading ")]
    assert begun == ["loading a-good", "loading hanging", "loading z-good"]


def test_a_folder_without_manifest_is_no_checkpoint(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "notes").mkdir()
    assert load_models(tmp_path, CPU) == []
    assert refusals(caplog) == []


def calibrate(folder: Path) -> None:
    """By ever so few images."""
    spec = FlowPath(steps=2, fresh=1)
    parts = [images(20, seed) for seed in (0, 1)]
    density, own = ((read(eager_denoiser(small_model()), part, spec, 0), part) for part in parts)
    save_calibration(folder, fit(read_manifest(folder), spec, 0, density, own, "test"))


def test_a_calibration_is_loaded_with_its_checkpoint(tmp_path: Path) -> None:
    calibrate(write(tmp_path, "a"))
    write(tmp_path, "b", seed=1)
    with_one, without = load_models(tmp_path, CPU)
    assert with_one.calibration is not None
    assert with_one.calibration == read_calibration(tmp_path / "a", with_one.manifest)
    assert without.calibration is None


def test_another_s_calibration_leaves_the_rest_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write(tmp_path, "a")
    calibrate(folder)
    (folder / CALIBRATION).rename(write(tmp_path, "b", seed=1) / CALIBRATION)
    served = load_models(tmp_path, CPU)
    assert [(model.manifest.name, model.calibration) for model in served] == [
        ("a", None),
        ("b", None),
    ]
    (line,) = refusals(caplog)
    assert line.startswith("b gives no verdicts: calibration.json belongs to the weights")
