"""Checkpoints for other programs: the same tensors by other names, the same maps as graphs."""

import json
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from models.checkpoints.checkpoint import load_checkpoint, save_manifest, save_weights
from models.checkpoints.flax_import import import_flax
from models.checkpoints.official import NAMED, require_official
from models.checkpoints.onnx_export import export_onnx
from models.checkpoints.onnx_graphs import ROWS, Graph, build, with_weights
from models.checkpoints.onnx_graphs import graphs as graphs_of
from models.checkpoints.safetensors_export import export_safetensors
from models.cli import models as command
from models.files.shelf import find
from models.network.mulan import Mulan
from models.runtimes.denoiser import NetworkDenoiser
from models.runtimes.eager import EagerRuntime
from models.runtimes.gate import check
from models.runtimes.onnx import OnnxRuntime
from models.schema.errors import CheckpointError
from models.schema.manifest import Manifest
from models.schema.mulan import MulanConfig

CONFIG = MulanConfig(
    image_shape=(8, 8, 3),
    width=32,
    depth=1,
    encoder_depth=1,
    latent_size=3,
    latent_k=2,
    schedule_width=6,
    attention=True,
)


def write(root: Path, name: str, config: MulanConfig) -> Path:
    torch.manual_seed(0)
    model = Mulan(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    sha256 = save_weights(root / name, config, model.state_dict())
    count = sum(parameter.numel() for parameter in model.parameters())
    save_manifest(root / name, Manifest(name=name, config=config, sha256=sha256, parameters=count))
    return root / name


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shelf")
    write(root, "some", CONFIG)
    write(root, "coarse", CONFIG.model_copy(update={"attention": False, "coarse_width": 32}))
    write(root, "vdm", CONFIG.model_copy(update={"latent_size": 0, "latent_k": 0}))
    write(root, "multivariate", CONFIG.model_copy(update={"latent_size": 1, "latent_k": 1}))
    return root


def run(*arguments: str) -> dict[str, object]:
    result = CliRunner().invoke(command, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.stdout)
    return found


def test_our_own_names(shelf: Path, tmp_path: Path) -> None:
    out = tmp_path / "some.safetensors"
    run("export", "safetensors", "some", "--models", str(shelf), "--out", str(out))
    expected = load_checkpoint(shelf / "some").model.state_dict()
    found = load_file(out)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_official_names_and_layout_import_again(shelf: Path, tmp_path: Path) -> None:
    """What is exported, put into a Flax file, is the same checkpoint."""
    out = tmp_path / "official.safetensors"
    run("export", "safetensors", "some", "--models", str(shelf), "--out", str(out), "--official")
    tree: dict[str, Any] = {}
    for path, tensor in load_file(out).items():
        *parents, last = path.split("/")
        inner = tree
        for parent in parents:
            inner = inner.setdefault(parent, {})
        payload = (list(tensor.shape), "float32", tensor.numpy().tobytes())
        inner[last] = msgpack.ExtType(1, msgpack.packb(payload))
    (tmp_path / "ckpt").write_bytes(msgpack.packb({"ema_params": tree}))
    said = {"parameterisation": "velocity", "latent_k": 2}
    imported = import_flax(tmp_path / "ckpt", said, tmp_path / "again")
    before = load_checkpoint(shelf / "some").manifest
    assert imported.config == before.config
    assert imported.sha256 == before.sha256


# Fields of MulanConfig that the official code has a setting or an argument for, and two constants
# of it that a tensor's shape shows.
EXPRESSIBLE = {
    "vocabulary": 17,
    "parameterisation": "epsilon",
    "width": 64,
    "depth": 2,
    "encoder_depth": 2,
    "attention": False,
    "dropout": 0.0,
    "latent_size": 5,
    "latent_k": 1,
    "gamma_min": -8.0,
    "gamma_max": 7.0,
    "fourier": (),
    "image_shape": (16, 16, 1),
    "schedule_width": None,
}
# Values that the official code has no way to express, and what an error says of each.
FOREIGN = {
    "pixel_map": ("ends", 'pixel_map is "ends", not "centres"'),
    "parameterisation": ("sample", 'parameterisation is "sample", not "velocity" or .*'),
    "fourier": ((0, 1), r"fourier is \[0, 1\], not \[6, 7\] or \[\]"),
    "fourier_fade": (True, "fourier_fade is true, not false"),
    "time_scale": (10.0, "time_scale is 10.0, not 1000.0"),
    "residual": (False, "residual is false, not true"),
    "groups": (4, "groups is 4, not 32"),
    "patch": (2, "patch is 2, not 1"),
    "coarse_width": (32, "coarse_width is 32, not 0"),
    "latent_size": (0, "latent_size is 0, not above 1"),
    "image_shape": ((4, 16, 3), r"image_shape is \[4, 16, 3\], not square"),
}


def test_every_field_is_known_to_be_expressible_or_foreign() -> None:
    fields = MulanConfig.model_fields.keys() - {"architecture"}
    assert EXPRESSIBLE.keys() | FOREIGN.keys() == fields


@pytest.mark.parametrize("field", EXPRESSIBLE)
def test_what_the_official_code_can_express_has_official_names(field: str) -> None:
    config = MulanConfig.model_validate(CONFIG.model_dump() | {field: EXPRESSIBLE[field]})
    assert getattr(config, field) != getattr(CONFIG, field)
    require_official(config, "ours")


@pytest.mark.parametrize("name", NAMED)
def test_the_authors_configurations_have_official_names(name: str) -> None:
    require_official(MulanConfig.model_validate(NAMED[name]), name)


@pytest.mark.parametrize("field", FOREIGN)
def test_what_the_official_code_cannot_express_has_no_official_names(
    field: str, tmp_path: Path
) -> None:
    value, reason = FOREIGN[field]
    changed = {"latent_k": value} if field == "latent_size" else {}
    given = CONFIG.model_dump() | {"attention": False, field: value, **changed}
    folder = write(tmp_path, "ours", MulanConfig.model_validate(given))
    out = tmp_path / "official.safetensors"
    with pytest.raises(CheckpointError, match=f"^ours is not a network .* can run: {reason}$"):
        export_safetensors(load_checkpoint(folder), out, official=True)
    assert not out.exists()


def test_everything_at_fault_is_named_at_once() -> None:
    config = CONFIG.model_copy(update={"groups": 4, "time_scale": 10.0})
    with pytest.raises(CheckpointError, match=r"time_scale is 10.0.*; groups is 4, not 32"):
        require_official(config, "ours")


@pytest.fixture(scope="module")
def whole(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The graphs of the checkpoint with attention, with their weights."""
    folder = tmp_path_factory.mktemp("onnx") / "some"
    record = run("export", "onnx", "some", "--models", str(shelf), "--out", str(folder))
    names = ["score.onnx", "score_vjp.onnx", "encoder.onnx", "schedule.onnx"]
    assert record["files"] == [str(folder / name) for name in names]
    return folder


@pytest.fixture(scope="module")
def bare(shelf: Path) -> list[Path]:
    """The graphs of the coarse checkpoint for the runtime, without weights, in its folder."""
    record = run("graphs", "coarse", "--models", str(shelf))
    files = [shelf / "coarse" / "graphs" / f"{name}.onnx" for name in ("score", "score_vjp")]
    assert record["files"] == [str(file) for file in files]
    return files


def infer(path: Path, **inputs: torch.Tensor) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(None, {n: t.numpy() for n, t in inputs.items()})
    return found


def questions(rows: int) -> dict[str, torch.Tensor]:
    """Inputs of `score_vjp`; without the cotangents, of `score`."""
    draws, eye = torch.Generator().manual_seed(1), torch.eye(3)
    index = torch.arange(rows)
    return {
        "x": torch.randn(rows, 3, 8, 8, generator=draws),
        "network_time": torch.rand(rows, generator=draws),
        "latent": eye[index % 3] + eye[(index + 1) % 3],
        "cotangents": torch.randn(rows, 2, 3, 8, 8, generator=draws),
    }


def is_the_network(
    model: Mulan, asked: dict[str, torch.Tensor], out: np.ndarray, found: list[np.ndarray]
) -> None:
    """Compare the answer of `score`, and those of `score_vjp`, with the network's own."""
    x, network_time, latent, cotangents = asked.values()
    x = x.clone().requires_grad_()
    expected = model.score(x, network_time, latent)
    np.testing.assert_allclose(out, expected.detach().numpy(), rtol=0, atol=1e-4)
    np.testing.assert_array_equal(found[0].shape, out.shape)
    for probe in range(2):
        (pulled,) = torch.autograd.grad(expected, x, cotangents[:, probe], retain_graph=True)
        scale = float(pulled.abs().max())
        np.testing.assert_allclose(found[1][:, probe], pulled.numpy(), rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("rows", [1, 17])
def test_graphs_are_the_networks(shelf: Path, whole: Path, rows: int) -> None:
    model, asked = load_checkpoint(shelf / "some").model, questions(rows)
    found = infer(whole / "score_vjp.onnx", **asked)
    without = {name: value for name, value in asked.items() if name != "cotangents"}
    (out,) = infer(whole / "score.onnx", **without)
    is_the_network(model, asked, out, found)
    x, latent = asked["x"], asked["latent"]
    (logits,) = infer(whole / "encoder.onnx", x=x)
    np.testing.assert_allclose(logits, model.encoder(x).numpy(), rtol=0, atol=1e-4)
    for ours, theirs in zip(
        model.gamma(latent)[:3], infer(whole / "schedule.onnx", latent=latent), strict=True
    ):
        np.testing.assert_allclose(theirs, ours.numpy(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("rows", [1, 17])
def test_graphs_for_the_runtime_are_the_network(shelf: Path, bare: list[Path], rows: int) -> None:
    model, asked = load_checkpoint(shelf / "coarse").model, questions(rows)
    runtime = OnnxRuntime(model, shelf / "coarse")
    x, network_time, latent, cotangents = asked.values()
    out = runtime.score(x, network_time, latent).numpy()
    found = runtime.score_and_pull(x, network_time, latent, cotangents)
    is_the_network(model, asked, out, [part.numpy() for part in found])


def test_graphs_for_the_runtime_pass_its_gate(shelf: Path, bare: list[Path]) -> None:
    model = load_checkpoint(shelf / "coarse").model
    eager = NetworkDenoiser(model, EagerRuntime(model))
    check(NetworkDenoiser(model, OnnxRuntime(model, shelf / "coarse")), eager)


@pytest.mark.parametrize(("name", "schedule"), [("vdm", []), ("multivariate", ["schedule"])])
def test_without_a_choice_of_latents_there_is_no_encoder(
    shelf: Path, name: str, schedule: list[str]
) -> None:
    found = graphs_of(load_checkpoint(shelf / name).model)
    assert list(found) == ["score", "score_vjp", *schedule]
    for graph in found.values():
        assert graph.function(*graph.weights.values(), *graph.inputs.values()) is not None


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_graphs_of_the_shipped_checkpoints_agree_with_their_networks(name: str) -> None:
    """Over all of the network's time, where one factor is 1e-6 and another 1e5; the pull-back is
    checked in the runtime's tests, by the shipped graph, which takes a minute to make."""
    model = load_checkpoint(find(name)[0]).model
    for part, graph in graphs_of(model).items():
        if part == "score_vjp":
            continue
        if "network_time" in graph.inputs:
            graph.inputs["network_time"].copy_(torch.linspace(0, 1, ROWS))
        whole = with_weights(build(graph, "{}"), graph.weights).SerializeToString()
        session = onnxruntime.InferenceSession(whole, providers=["CPUExecutionProvider"])
        found = session.run(None, {key: value.numpy() for key, value in graph.inputs.items()})
        with torch.no_grad():
            expected = graph.function(*graph.weights.values(), *graph.inputs.values())
        expected = expected if isinstance(expected, tuple) else (expected,)
        for ours, theirs in zip(expected, found, strict=True):
            scale = max(1.0, float(ours.abs().max()))
            np.testing.assert_allclose(theirs, ours.numpy(), rtol=0, atol=2e-5 * scale)


def test_graphs_for_the_runtime_hold_no_weights(shelf: Path, bare: list[Path]) -> None:
    weights = load_checkpoint(shelf / "coarse").model.score.state_dict()
    size = sum(tensor.numel() * 4 for tensor in weights.values())
    for file in bare:
        held = onnx.load(file, load_external_data=False)
        outside = {
            tensor.name
            for tensor in held.graph.initializer
            if tensor.data_location == onnx.TensorProto.EXTERNAL
        }
        assert outside == {f"score.{name}" for name in weights}
        assert file.stat().st_size < size / 2


def test_a_graph_that_disagrees_is_not_written(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fickle(torch.nn.Module):
        """Answers otherwise when it is checked."""

        def forward(self, *given: torch.Tensor) -> torch.Tensor:
            twice = 2 * given[0]
            return twice if torch.compiler.is_compiling() else twice + 1

    graph = {"fickle": Graph(Fickle(), {}, {"x": torch.zeros(5, 2)}, ("y",))}
    monkeypatch.setattr("models.checkpoints.onnx_export.graphs", lambda _: graph)
    with pytest.raises(CheckpointError, match=r"fickle.onnx differs from its network by 1"):
        export_onnx(load_checkpoint(shelf / "some"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
