"""What `mulan models import --diffusers` takes, and the line by which it refuses the rest."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file
from tiny_unet import save, scheduler, unet

from models.checkpoints.checkpoint import load_checkpoint
from models.checkpoints.diffusers_import import WEIGHTS, import_diffusers
from models.checkpoints.onnx_export import make_graphs
from models.cli import models
from models.runtimes.choice import Wish, choose
from models.runtimes.eager import EagerRuntime
from models.schema.errors import CheckpointError
from models.schema.manifest import Manifest, read_manifest

CONFIG, SCHEDULER = Path("unet/config.json"), Path("scheduler/scheduler_config.json")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that is imported without complaint."""
    return save(tmp_path_factory.mktemp("sound") / "Tiny Model", unet(), scheduler())


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "given"))


def run(*words: object) -> Result:
    return CliRunner().invoke(models, ["import", *map(str, words)])


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(folder: Path) -> str:
    """Return the one line of a refusal, after which nothing is left behind."""
    before = sorted(folder.parent.iterdir())
    result = run("--diffusers", folder, "--out", folder.parent / "out")
    assert result.exit_code == 1, result.output
    assert sorted(folder.parent.iterdir()) == before
    (line,) = result.stderr.splitlines()
    return line


def test_a_pipeline_becomes_a_checkpoint(sound: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("--diffusers", sound, "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["folder"] == record["name"] == "tiny-model"
    manifest = read_manifest(Path("tiny-model"))
    assert manifest.config.architecture == "diffusers-unet2d"
    assert manifest.config.pixel_map == "ends"
    assert manifest.config.gamma_min == pytest.approx(-9.21, abs=1e-3)
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest
    model = load_checkpoint(Path("tiny-model")).model
    x, timesteps = torch.randn(2, 1, 8, 8), torch.tensor([3.0, 500.5])
    expected = unet()(x, timesteps, return_dict=False)[0]
    torch.testing.assert_close(model.score(x, timesteps, torch.zeros(2, 0)), expected)
    again = run("--diffusers", sound)
    assert again.exit_code == 1
    assert "exists already" in again.stderr


def test_classes_are_kept(tmp_path: Path) -> None:
    given = save(tmp_path / "given", unet(num_class_embeds=5), scheduler())
    manifest, out = import_diffusers(given, tmp_path / "out")
    assert manifest.config.classes == 5
    assert manifest.config.latent_size == 0
    assert read_manifest(out) == manifest
    model = load_checkpoint(out).model
    x, timesteps = torch.randn(2, 1, 8, 8), torch.tensor([3.0, 500.5])
    labels = torch.tensor([4, 0])
    with torch.no_grad():
        expected = unet(num_class_embeds=5)(x, timesteps, class_labels=labels, return_dict=False)[0]
    torch.testing.assert_close(model.score(x, timesteps, torch.eye(5)[labels]), expected)
    rounded = EagerRuntime(model, "bfloat16").score(x, timesteps, torch.eye(5)[labels])
    assert 0 < float((rounded - expected).abs().max() / expected.abs().max()) < 0.1
    assert choose(load_checkpoint(out), out, 40, Wish()).exact.runtime.name == "eager"


def test_a_class_that_stands_for_none_is_left_out(tmp_path: Path) -> None:
    given = save(tmp_path / "given", unet(num_class_embeds=5), scheduler())
    out = tmp_path / "out"
    result = run("--diffusers", given, "--out", out, "--classes", 4, "--json")
    assert result.exit_code == 0, result.output
    checkpoint = load_checkpoint(out)
    assert checkpoint.manifest.config.classes == 4
    x, timesteps = torch.randn(1, 1, 8, 8), torch.tensor([500.5])
    with torch.no_grad():
        labels = torch.tensor([3])
        expected = unet(num_class_embeds=5)(x, timesteps, class_labels=labels, return_dict=False)[0]
    torch.testing.assert_close(checkpoint.model.score(x, timesteps, torch.eye(4)[labels]), expected)
    many = run("--diffusers", given, "--out", tmp_path / "many", "--classes", 6)
    assert many.exit_code == 1
    assert "named_classes is 6, and the network has 5 classes" in many.stderr
    plain = save(tmp_path / "plain", unet(), scheduler())
    none = run("--diffusers", plain, "--out", tmp_path / "none", "--classes", 1)
    assert "named_classes is 1, and the network has 0 classes" in none.stderr


def test_files_of_models_without_classes_are_as_before(folder: Path, tmp_path: Path) -> None:
    manifest, _ = import_diffusers(folder, tmp_path / "out")
    assert "class" not in manifest.model_dump_json()


def test_a_model_with_the_scheduler_beside_it(tmp_path: Path) -> None:
    given = save(tmp_path / "model", unet(), scheduler(), pipeline=False)
    manifest, _ = import_diffusers(given, tmp_path / "out", "named")
    assert manifest.name == "named"


def test_weights_of_half_precision_and_old_names(folder: Path, tmp_path: Path) -> None:
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = load_file(folder / "unet" / WEIGHTS)
    for new, name in old.items():
        tensors = {key.replace(f".{new}.", f".{name}."): one for key, one in tensors.items()}
    assert any(".query." in key for key in tensors)
    save_file({key: one.half() for key, one in tensors.items()}, folder / "unet" / WEIGHTS)
    _, out = import_diffusers(folder, tmp_path / "out")
    assert load_checkpoint(out).manifest.config.parameterisation == "epsilon"


def test_auto_serves_it_eagerly(folder: Path, tmp_path: Path, caplog: Any) -> None:
    caplog.set_level("INFO")
    _, out = import_diffusers(folder, tmp_path / "out")
    chosen = choose(load_checkpoint(out), out, 4, Wish())
    assert chosen.exact.runtime.name == "eager"
    (line,) = [line for line in caplog.messages if "not served by onnx" in line]
    assert line.endswith("there are no graphs of diffusers-unet2d networks")
    with pytest.raises(CheckpointError, match="an ONNX graph is for MULAN networks"):
        make_graphs(load_checkpoint(out), out)
    assert not (out / "graphs").exists()


def test_samples_may_be_rounded(folder: Path, tmp_path: Path) -> None:
    """The layers of x and of time are not. A tiny random network is past the gate's limit."""
    _, out = import_diffusers(folder, tmp_path / "out")
    model = load_checkpoint(out).model
    given = torch.randn(4, 1, 8, 8), torch.tensor([0.0, 9.5, 300.0, 999.0]), torch.zeros(4, 0)
    exact, rounded = (EagerRuntime(model, kind).score(*given) for kind in ("float32", "bfloat16"))
    difference = float((exact - rounded).square().mean().sqrt() / exact.square().mean().sqrt())
    assert 0 < difference < 0.05


Change = Callable[[Path], object]
FAULTS: dict[str, tuple[Change, str]] = {
    "pickle": (
        lambda at: (at / "unet" / WEIGHTS).rename(at / "unet/diffusion_pytorch_model.bin"),
        "diffusion_pytorch_model.bin: a pickle",
    ),
    "no weights": (lambda at: (at / "unet" / WEIGHTS).unlink(), f"{WEIGHTS}: no such file"),
    "class embedding of numbers": (
        lambda at: edit(at / CONFIG, class_embed_type="timestep", num_class_embeds=10),
        "class_embed_type is timestep; of models with classes those with a table",
    ),
    "class embedding of vectors": (
        lambda at: edit(at / CONFIG, class_embed_type="identity"),
        "class_embed_type is identity",
    ),
    "classes without a table": (
        lambda at: edit(at / CONFIG, num_class_embeds=10),
        "tensor class_embedding.weight is missing",
    ),
    "no classes": (lambda at: edit(at / CONFIG, num_class_embeds=0), "num_class_embeds: "),
    "too many classes": (lambda at: edit(at / CONFIG, num_class_embeds=10**9), "num_class_embeds"),
    "text": (
        lambda at: edit(at / CONFIG, _class_name="UNet2DConditionModel"),
        "it is a UNet2DConditionModel",
    ),
    "latent pipeline": (
        lambda at: (at / "model_index.json").write_text(
            '{"_class_name": "LDMPipeline", "vqvae": ["diffusers", "VQModel"]}'
        ),
        "vqvae (VQModel); latent models are not supported",
    ),
    "conditional pipeline": (
        lambda at: (at / "model_index.json").write_text(
            '{"unet": ["diffusers", "UNet2DModel"], "text_encoder": ["transformers", "Clip"]}'
        ),
        "it has text_encoder (Clip)",
    ),
    "latent channels": (
        lambda at: edit(at / CONFIG, in_channels=4, out_channels=4),
        "in_channels is 4",
    ),
    "variance": (lambda at: edit(at / CONFIG, out_channels=2), "a variance too"),
    "channels": (lambda at: edit(at / CONFIG, out_channels=3), "out_channels is 3"),
    "no size": (lambda at: edit(at / CONFIG, sample_size=None), "sample_size is None"),
    "odd size": (lambda at: edit(at / CONFIG, sample_size=9), "divides the image 9x9 by 2"),
    "block": (
        lambda at: edit(at / CONFIG, down_block_types=["DownBlock2D", "os.system"]),
        "down_block_types.1: ",
    ),
    "unknown setting": (lambda at: edit(at / CONFIG, colour="red"), "colour: Extra inputs"),
    "groups": (lambda at: edit(at / CONFIG, norm_num_groups=3), "norm_num_groups"),
    "scheduler": (
        lambda at: edit(at / SCHEDULER, _class_name="KarrasVeScheduler"),
        "the scheduler KarrasVeScheduler is not supported",
    ),
    "betas": (
        lambda at: edit(at / SCHEDULER, beta_schedule="sigmoid"),
        "beta_schedule is 'sigmoid'",
    ),
    "trained betas": (lambda at: edit(at / SCHEDULER, trained_betas=[0.1]), "trained_betas"),
    "no signal": (
        lambda at: edit(at / SCHEDULER, rescale_betas_zero_snr=True),
        "rescale_betas_zero_snr",
    ),
    "prediction": (
        lambda at: edit(at / SCHEDULER, prediction_type="flow"),
        "prediction_type is 'flow'",
    ),
    "no scheduler": (lambda at: shutil.rmtree(at / "scheduler"), "no scheduler/scheduler_config"),
    "steps": (
        lambda at: edit(at / SCHEDULER, num_train_timesteps=10**9),
        "num_train_timesteps: ",
    ),
    "config of 60 MB": (
        lambda at: (at / CONFIG).write_text(" " * 60_000_000 + "{}"),
        "config.json: more than 1048576 bytes",
    ),
    "no JSON": (lambda at: (at / CONFIG).write_text("{"), "config.json: "),
    "deep JSON": (lambda at: (at / CONFIG).write_text("[" * 100_000), "config.json: "),
    "no object": (lambda at: (at / CONFIG).write_text("[]"), "expected an object"),
    "truncated": (
        lambda at: (at / "unet" / WEIGHTS).write_bytes((at / "unet" / WEIGHTS).read_bytes()[:999]),
        f"{WEIGHTS}: ",
    ),
    "larger than the network": (
        lambda at: os.truncate(at / "unet" / WEIGHTS, 2**40),
        f"{WEIGHTS}: more than ",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_refused(folder: Path, fault: str) -> None:
    change, words = FAULTS[fault]
    change(folder)
    assert words in refused(folder)


def _shape(tensors: dict[str, torch.Tensor]) -> None:
    tensors["conv_in.weight"] = tensors["conv_in.weight"][:, :, :1]


def _number(tensors: dict[str, torch.Tensor]) -> None:
    tensors["conv_in.bias"][0] = torch.nan


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_shape, "tensor conv_in.weight has shape (8, 1, 1, 3), expected (8, 1, 3, 3)"),
        (_number, "tensor conv_in.bias has values that are not finite"),
        (lambda tensors: tensors.pop("conv_in.bias"), "tensor conv_in.bias is missing"),
        (lambda tensors: tensors.update(x=torch.ones(1)), "tensor x is unexpected"),
        (
            lambda tensors: tensors.update({"conv_in.bias": torch.ones(8, dtype=torch.int8)}),
            "tensor conv_in.bias is torch.int8",
        ),
    ],
)
def test_weights_of_another_network(folder: Path, change: Any, words: str) -> None:
    path = folder / "unet" / WEIGHTS
    tensors = load_file(path)
    change(tensors)
    save_file({name: one.contiguous() for name, one in tensors.items()}, path)
    assert words in refused(folder)


def test_a_schedule_that_is_not_the_configuration_s(folder: Path, tmp_path: Path) -> None:
    _, out = import_diffusers(folder, tmp_path / "out")
    model = load_checkpoint(out).model
    model.get_buffer("alphas_cumprod")[0] = 0.99985
    with pytest.raises(CheckpointError, match=r"^here: gamma goes from -8\.8"):
        model.verify("here")
    model.get_buffer("alphas_cumprod")[1] = 0.99995
    with pytest.raises(CheckpointError, match="does not fall"):
        model.verify("here")


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ((), "CHECKPOINT is missing, or --diffusers"),
        (("x", "--diffusers", "y"), "takes the place of CHECKPOINT"),
        (("x", "--out", "y"), "--config is missing"),
        (("x", "--classes", "3"), "--classes is for --diffusers"),
        (("x", "--config", "cifar10"), "--out is missing"),
    ],
)
def test_options_that_do_not_fit(words: tuple[str, ...], fault: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert fault in result.stderr


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert "no such folder" in refused(tmp_path / "nothing")
