"""A runtime serves a checkpoint only after it has given eager float32's numbers."""

import logging
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.checkpoints.checkpoint import Checkpoint, load_checkpoint
from models.files.shelf import find
from models.rows.rows import Query
from models.runtimes import choice
from models.runtimes.choice import Wish, choose
from models.runtimes.denoiser import NetworkDenoiser, TwoPrecisions
from models.runtimes.eager import EagerRuntime
from models.runtimes.gate import LARGEST, check, compare, questions
from models.runtimes.onnx import OnnxRuntime
from models.schema.errors import CheckpointError, UnavailableRuntimeError

ROWS = 16
FOLDER = find("digits")[0]


@pytest.fixture(scope="module")
def digits() -> Checkpoint:
    return load_checkpoint(FOLDER)


class Off(EagerRuntime):
    """Errs in its predictions at early times, or in its pull-backs alone."""

    forwards = backwards = 0.0

    def score(self, x: Tensor, network_time: Tensor, latent: Tensor) -> Tensor:
        early = (network_time < 0.05)[:, None, None, None]
        out = super().score(x, network_time, latent)
        return torch.where(early, out * (1 + 10 * self.forwards), out)

    def score_and_pull(
        self, x: Tensor, network_time: Tensor, latent: Tensor, cotangents: Tensor
    ) -> tuple[Tensor, Tensor]:
        out, pulled = super().score_and_pull(x, network_time, latent, cotangents)
        return out, pulled * (1 + self.backwards)


class Slow(EagerRuntime):
    """Takes its time."""

    def score(self, x: Tensor, network_time: Tensor, latent: Tensor) -> Tensor:
        for _ in range(20):
            out = super().score(x, network_time, latent)
        return out


def test_auto_takes_onnx_on_the_cpu(digits: Checkpoint) -> None:
    chosen = choose(digits, FOLDER, ROWS, Wish())
    assert chosen.exact.runtime.name == "onnx"
    assert chosen.exact is chosen.samples is chosen.denoiser


@pytest.mark.parametrize("name", ["onnx", "eager"])
def test_what_is_asked_for_is_taken(digits: Checkpoint, name: choice.RuntimeName) -> None:
    assert choose(digits, FOLDER, ROWS, Wish(name)).exact.runtime.name == name


def test_cuda_graphs_need_a_cuda_device(digits: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match=r"not served by cuda-graph: .* needs a CUDA device"):
        choose(digits, FOLDER, ROWS, Wish("cuda-graph"))


def test_without_graphs_auto_is_eager_and_says_which_command_makes_them(
    digits: Checkpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        chosen = choose(digits, tmp_path, ROWS, Wish())
    assert chosen.exact.runtime.name == "eager"
    (line,) = (record.message for record in caplog.records if record.levelno == logging.INFO)
    assert line.startswith("digits is not served by onnx: ")
    assert "`mulan models graphs`" in line
    with pytest.raises(CheckpointError, match=r"not served by onnx: .*`mulan models graphs`"):
        choose(digits, tmp_path, ROWS, Wish("onnx"))


def test_graphs_that_fail_are_passed_over(digits: Checkpoint, tmp_path: Path) -> None:
    """One graph lies where the other belongs."""
    graphs = shutil.copytree(FOLDER / "graphs", tmp_path / "graphs")
    shutil.copy(graphs / "score.onnx", graphs / "score_vjp.onnx")
    assert choose(digits, tmp_path, ROWS, Wish()).exact.runtime.name == "eager"
    with pytest.raises(CheckpointError, match=r"not served by onnx: it fails: .*cotangents"):
        choose(digits, tmp_path, ROWS, Wish("onnx"))


@pytest.mark.parametrize("part", ["forwards", "backwards"])
def test_wrong_numbers_are_refused_or_passed_over(
    digits: Checkpoint, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def wrong(model: object, folder: Path, threads: int) -> EagerRuntime:
        off = Off(digits.model)
        setattr(off, part, 0.01)
        return off

    monkeypatch.setattr(choice, "OnnxRuntime", wrong)
    assert type(choose(digits, FOLDER, ROWS, Wish()).exact.runtime) is EagerRuntime
    what = {"forwards": "eps differ .* first quarter", "backwards": "vjps differ .* first quarter"}
    with pytest.raises(CheckpointError, match=f"not served by onnx: its {what[part]}"):
        choose(digits, FOLDER, ROWS, Wish("onnx"))


def test_nan_does_not_pass(digits: Checkpoint) -> None:
    off = Off(digits.model)
    off.backwards = float("nan")
    eager = NetworkDenoiser(digits.model, EagerRuntime(digits.model))
    with pytest.raises(UnavailableRuntimeError, match="its vjps differ"):
        check(NetworkDenoiser(digits.model, off), eager)


def test_auto_takes_the_fastest_and_remembers_it(
    digits: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "OnnxRuntime", lambda model, folder, threads: Slow(model))
    wish = Wish(cache=tmp_path / "cache")
    assert type(choose(digits, FOLDER, ROWS, wish).exact.runtime) is EagerRuntime
    (kept,) = (tmp_path / "cache" / "runtimes").iterdir()

    def never(denoiser: NetworkDenoiser) -> float:
        raise AssertionError("measured again")

    with monkeypatch.context() as patch:
        patch.setattr(choice, "_seconds", never)
        assert type(choose(digits, FOLDER, ROWS, wish).exact.runtime) is EagerRuntime
    for damaged in "damaged", '{"seconds": 1}', f'{{"seconds": [1, {"9" * 400}]}}':
        kept.write_text(damaged, encoding="utf-8")
        assert type(choose(digits, FOLDER, ROWS, wish).exact.runtime) is EagerRuntime
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("no folder", encoding="utf-8")
    assert type(choose(digits, FOLDER, ROWS, wish).exact.runtime) is EagerRuntime


def test_only_samples_are_drawn_in_bfloat16(digits: Checkpoint) -> None:
    chosen = choose(digits, FOLDER, ROWS, Wish(sample_dtype="bfloat16"))
    assert chosen.samples.runtime.precision == "bfloat16"
    assert chosen.exact.runtime.precision == "float32"
    both = chosen.denoiser
    assert isinstance(both, TwoPrecisions)
    query, condition = questions(chosen.exact)
    score, plain = both.evaluate(query, condition), chosen.exact.evaluate(query, condition)
    assert plain.vjps is not None
    assert score.vjps is not None
    assert torch.equal(score.vjps, plain.vjps)
    assert torch.equal(score.eps, plain.eps)
    drawn = Query(query.x, query.t)
    assert not torch.equal(both.evaluate(drawn, condition).eps, plain.eps)
    assert both.evaluate(drawn, condition).eps.dtype == torch.float32
    assert torch.equal(both.encode(query.x), chosen.exact.encode(query.x))


@pytest.mark.parametrize("name", ["digits", "mnist", "fashion-mnist"])
def test_bfloat16_is_within_one_per_cent_in_every_quarter(name: str) -> None:
    model = load_checkpoint(find(name)[0]).model
    rounded, eager = (
        NetworkDenoiser(model, EagerRuntime(model, precision))
        for precision in ("bfloat16", "float32")
    )
    quarters = compare(rounded, eager, pulls=False).eps
    assert all(1e-5 < error < LARGEST["bfloat16"] for error in quarters), quarters


def test_bfloat16_that_errs_more_is_refused(
    digits: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LARGEST, "bfloat16", 1e-5)
    with pytest.raises(CheckpointError, match="no samples in bfloat16: its eps differ"):
        choose(digits, FOLDER, ROWS, Wish("eager", "bfloat16"))


def test_the_onnx_runtime_of_the_zoo_passes_far_inside_the_limit(digits: Checkpoint) -> None:
    eager = NetworkDenoiser(digits.model, EagerRuntime(digits.model))
    found = NetworkDenoiser(digits.model, OnnxRuntime(digits.model, FOLDER))
    eps, vjps = check(found, eager)
    assert max(*eps, *vjps) < LARGEST["float32"] / 20
