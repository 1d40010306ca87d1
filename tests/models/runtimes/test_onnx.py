"""ONNX Runtime gives eager's numbers, and a row's bytes whatever runs beside it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import Tensor

from models.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_manifest, save_weights
from models.files.shelf import find
from models.network.mulan import Mulan
from models.network.pixels import data_to_tokens
from models.rows.noise import Stream, normal, rademacher
from models.rows.rows import NoiseKey, Query, take
from models.runtimes import onnx
from models.runtimes.denoiser import NetworkDenoiser
from models.runtimes.eager import EagerRuntime
from models.runtimes.gate import LARGEST, compare
from models.runtimes.onnx import OnnxRuntime
from models.runtimes.runtime import Runtime
from models.runtimes.warmup import warm_up
from models.schema.errors import UnavailableRuntimeError
from models.schema.manifest import read_manifest
from models.schema.specs import Adams, Ddim
from models.solvers import SAMPLERS
from models.solvers.adams import AdamsSolver
from models.work.likelihood import score_problem, summarise
from models.work.sampling import sample_problem
from models.work.solve import solve

ROWS, PROBES = 37, 2
ZOO = ["digits", "mnist"]


@pytest.fixture(scope="module", params=ZOO)
def served(request: pytest.FixtureRequest) -> tuple[Checkpoint, Path]:
    folder = find(request.param)[0]
    return load_checkpoint(folder), folder


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def asked(model: Mulan, rows: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    key = NoiseKey(*torch.arange(rows).expand(2, rows))
    config = model.config
    latent = torch.zeros(rows, config.latent_size)
    for row in range(rows):
        latent[row, (row + torch.arange(config.latent_k)) % config.latent_size] = 1
    return (
        normal(key, Stream.START, 0, config.chw),
        torch.linspace(0, 1, rows),
        latent,
        rademacher(key, Stream.PROBE, 0, (PROBES, *config.chw)),
    )


def test_it_gives_eagers_numbers_in_every_quarter(served: tuple[Checkpoint, Path]) -> None:
    (_, model), folder = served
    found, eager = (
        NetworkDenoiser(model, r) for r in (OnnxRuntime(model, folder), EagerRuntime(model))
    )
    differences = compare(found, eager, pulls=True)
    assert len(differences.eps) == len(differences.vjps) == 4
    assert max(*differences.eps, *differences.vjps) < LARGEST["float32"] / 20


def test_a_row_has_the_same_bytes_in_calls_of_all_sizes_and_on_any_threads(
    served: tuple[Checkpoint, Path], threads: int
) -> None:
    (_, model), folder = served
    given = asked(model, ROWS)
    runtime = OnnxRuntime(model, folder)
    # On one thread.
    torch.set_num_threads(1)
    single = OnnxRuntime(model, folder)
    expected = single.score(*given[:3]), *single.score_and_pull(*given)
    torch.set_num_threads(threads)
    for size in (1, 2, 3, 5, 8, 13, 16, 20, 31, 36, 37):
        rows = torch.arange(ROWS - size, ROWS)
        part = take(given, rows)
        found = runtime.score(*part[:3]), *runtime.score_and_pull(*part)
        for ours, whole in zip(found, take(expected, rows), strict=True):
            assert torch.equal(ours, whole), size
        alone = runtime.score_and_pull(*part[:3], part[3][:, :1])
        assert torch.equal(alone[1], expected[2][rows][:, :1])


def test_it_needs_no_padding(served: tuple[Checkpoint, Path]) -> None:
    (_, model), folder = served
    assert warm_up(model, 32, OnnxRuntime(model, folder)).quantum == 1


def test_results_are_not_overwritten_by_later_calls() -> None:
    folder = find("digits")[0]
    model = load_checkpoint(folder).model
    runtime = OnnxRuntime(model, folder)
    given = asked(model, 4)
    first = runtime.score(*given[:3])
    kept = first.clone()
    runtime.score(-given[0], *given[1:3])
    assert torch.equal(first, kept)


def test_graphs_are_for_one_architecture_and_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = find("digits")[0]
    model = load_checkpoint(folder).model
    with pytest.raises(UnavailableRuntimeError, match=r"No such file.*`mulan models graphs`"):
        OnnxRuntime(model, tmp_path)
    other = load_checkpoint(find("mnist")[0]).model
    with pytest.raises(UnavailableRuntimeError, match=r"score\.onnx"):
        OnnxRuntime(other, folder)
    config = model.config.model_copy(update={"time_scale": model.config.time_scale * 2})
    changed = Mulan(config).eval().requires_grad_(False)
    with pytest.raises(UnavailableRuntimeError, match="of another architecture"):
        OnnxRuntime(changed, folder)
    with monkeypatch.context() as patch:
        patch.setattr(onnx, "CONFIG_KEY", "no such key")
        with pytest.raises(UnavailableRuntimeError, match="of another architecture"):
            OnnxRuntime(model, folder)
    monkeypatch.setattr(onnx, "GRAPH_VERSION", 99)
    with pytest.raises(UnavailableRuntimeError, match=r"not of version 99.*makes it anew"):
        OnnxRuntime(model, folder)


def test_the_weights_are_those_of_the_model_and_not_of_the_graph(tmp_path: Path) -> None:
    """Graphs of the shipped checkpoint serve another one of its architecture."""
    folder = find("digits")[0]
    model = load_checkpoint(folder).model
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.9)
    manifest = read_manifest(folder)
    sha256 = save_weights(tmp_path, model.config, model.state_dict())
    save_manifest(tmp_path, manifest.model_copy(update={"sha256": sha256}))
    shutil.copytree(folder / "graphs", tmp_path / "graphs")
    scaled = load_checkpoint(tmp_path).model
    given = asked(scaled, 3)
    expected = EagerRuntime(scaled).score(*given[:3])
    found = OnnxRuntime(scaled, tmp_path).score(*given[:3])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_a_provider_that_fell_back_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = find("digits")[0]
    model = load_checkpoint(folder).model
    monkeypatch.setattr(
        onnxruntime.InferenceSession, "get_providers", lambda _: ["AzureExecutionProvider"]
    )
    with pytest.raises(UnavailableRuntimeError, match=r"install onnxruntime-gpu in place of"):
        OnnxRuntime(model, folder)


def test_a_likelihoods_query_is_answered_as_eager_answers_it(
    served: tuple[Checkpoint, Path],
) -> None:
    (_, model), folder = served
    found = NetworkDenoiser(model, OnnxRuntime(model, folder))
    eager = NetworkDenoiser(model, EagerRuntime(model))
    x, t, latent, cotangents = asked(model, 3)
    query = Query(x, t.double(), cotangents)
    ours, theirs = (one.evaluate(query, one.condition(latent)) for one in (found, eager))
    assert ours.vjps is not None
    assert theirs.vjps is not None
    torch.testing.assert_close(ours.eps, theirs.eps, rtol=0, atol=1e-4)
    scale = float(theirs.vjps.abs().max())
    torch.testing.assert_close(ours.vjps, theirs.vjps, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("build", [OnnxRuntime, lambda model, _: EagerRuntime(model)])
def test_an_image_and_its_score_are_the_same_alone_and_beside_others(
    build: Callable[[Mulan, Path], Runtime],
) -> None:
    """On one thread and on two, for each runtime."""
    folder = find("digits")[0]
    model = load_checkpoint(folder).model
    before = torch.get_num_threads()
    solver, flow, spec = SAMPLERS["ddim"], AdamsSolver(fixed_steps=6), Adams()
    pictures, scores = [], []
    try:
        for threads in 1, 2:
            torch.set_num_threads(threads)
            denoiser = warm_up(model, 16, build(model, folder))
            for first in 0, 2:
                index = torch.arange(first, 3)
                problem = sample_problem(denoiser, Ddim(steps=5), 7, index)
                x = solver.sample(problem, solve(solver, problem, denoiser)).x
                tokens = data_to_tokens(x, model.config)
                pictures.append(tokens[-1])
                images = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8) % 17
                images = (images + index[:, None, None, None].to(torch.uint8)) % 17
                scored = score_problem(denoiser, images, spec, 0, 1)
                density = flow.density(scored, solve(flow, scored, denoiser))
                last = take(density, torch.tensor([len(index) - 1]))
                scores.append(summarise(model.config, last, spec).log_px_lower_bound)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(picture, pictures[0]) for picture in pictures)
    assert scores == pytest.approx([scores[0]] * len(scores), rel=1e-6)


def test_it_refuses_float64() -> None:
    folder = find("digits")[0]
    model = load_checkpoint(folder).model
    given = [leaf.double() for leaf in asked(model, 2)[:3]]
    runtime = OnnxRuntime(model, folder)
    with pytest.raises(Exception, match="Unexpected input data type"):
        runtime.score(*given)
