"""ONNX graphs of a checkpoint's networks."""

import itertools
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch._decomp import core_aten_decompositions
from torch.fx.experimental.proxy_tensor import make_fx

from models.checkpoints.checkpoint import Checkpoint
from models.files.folders import new_folder
from models.network.mulan import Mulan
from models.schema.errors import CheckpointError

ROWS = "rows"
TOLERANCE = 1e-4


class Graph(NamedTuple):
    """One function to export, with example inputs by name and the names of its outputs."""

    function: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]


class _Coefficients(nn.Module):
    """A module that returns the coefficients of the schedule's polynomial as tensors."""

    def __init__(self, model: Mulan) -> None:
        super().__init__()
        self.gamma = model.gamma

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, b, c, _, _ = self.gamma(latent)
        return a, b, c


class _PullBack(nn.Module):
    """A module that returns the score network's prediction and the pull-back of one cotangent."""

    def __init__(self, model: Mulan) -> None:
        super().__init__()
        self.score = model.score

    def forward(
        self, x: Tensor, network_time: Tensor, latent: Tensor, cotangent: Tensor
    ) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            out = self.score(x, network_time, latent)
        (pulled,) = torch.autograd.grad(out, x, cotangent)
        return out.detach(), pulled


def export_onnx(checkpoint: Checkpoint, folder: Path) -> list[Path]:
    """Write the networks as ONNX graphs to a new `folder` and check each against its network.

    The graphs take any number of rows. `score` maps x_t `[rows, C, H, W]`, the network time
    `[rows]` and the latent `[rows, n]` to the network's prediction; `score_vjp` also pulls a
    cotangent shaped as x_t back through it; `encoder` maps clean images to logits, and `schedule`
    maps a latent to the polynomial's coefficients. Returns the files. Raises CheckpointError where
    a graph disagrees with its network, and when `folder` exists already.
    """
    found = graphs(checkpoint.model.cpu())
    with new_folder(folder) as partial:
        for name, graph in found.items():
            path = partial / f"{name}.onnx"
            _export(graph, path)
            _check(graph, path, name)
    return [folder / f"{name}.onnx" for name in found]


def graphs(model: Mulan) -> dict[str, Graph]:
    """Return the functions of a model to export; a fixed schedule and an absent encoder need no
    graph."""
    config, draws = model.config, torch.Generator().manual_seed(0)
    # The tracer treats equal sizes as one size, so no other size may equal the number of rows.
    others = {size for tensor in model.state_dict().values() for size in tensor.shape}
    rows = next(n for n in itertools.count(5) if n not in others | set(config.image_shape))
    x = torch.randn(rows, *config.chw, generator=draws)
    network_time = torch.rand(rows, generator=draws)
    latent = torch.zeros(rows, config.latent_size)
    latent[:, : config.latent_k] = 1.0
    asked = {"x": x, "network_time": network_time, "latent": latent}
    cotangent = torch.randn(x.shape, generator=draws)
    found = {
        "score": Graph(model.score, asked, ("prediction",)),
        "score_vjp": Graph(
            _PullBack(model), asked | {"cotangent": cotangent}, ("prediction", "pulled")
        ),
    }
    if config.latent_size:
        found["encoder"] = Graph(model.encoder, {"x": x.clamp(-1, 1)}, ("logits",))
        found["schedule"] = Graph(_Coefficients(model), {"latent": latent}, ("a", "b", "c"))
    return found


def _export(graph: Graph, path: Path) -> None:
    inputs = tuple(graph.inputs.values())
    rows = torch.export.Dim(ROWS)
    shapes = tuple({0: rows} for _ in inputs)
    function = graph.function.eval()
    with _quiet():
        if isinstance(function, _PullBack):
            # The exporter does not follow calls of autograd, so they are traced beforehand.
            function = make_fx(
                function, _DECOMPOSITIONS, tracing_mode="symbolic", _allow_non_fake_inputs=True
            )(*inputs)
        program = torch.onnx.export(
            torch.export.export(function, inputs, dynamic_shapes=shapes),
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.save(path)


def _convolution_backward(
    cotangent: Tensor,
    x: Tensor,
    weight: Tensor,
    bias_sizes: list[int] | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
    mask: list[bool],
) -> tuple[Tensor, None, None]:
    """Differentiate by the image alone, as a transposed convolution: ONNX has no backward pass."""
    none = [0] * len(stride)
    pulled = torch.ops.aten.convolution(
        cotangent, weight, None, stride, padding, dilation, True, none, groups
    )
    return pulled, None, None


_DECOMPOSITIONS = dict(core_aten_decompositions()) | {
    torch.ops.aten.convolution_backward.default: _convolution_backward
}


def _check(graph: Graph, path: Path, name: str) -> None:
    """Run the graph on fewer and on more rows than it was traced with, and compare with its
    network."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for index in (torch.tensor([1]), torch.tensor([2, 0, 1, 1, 0])):
        inputs = {key: value[index] for key, value in graph.inputs.items()}
        with torch.no_grad():
            expected = graph.function(*inputs.values())
        expected = expected if isinstance(expected, tuple) else (expected,)
        found: list[NDArray[np.float32]] = session.run(
            None, {key: value.numpy() for key, value in inputs.items()}
        )
        for ours, theirs in zip(expected, found, strict=True):
            error = float(np.abs(ours.numpy() - theirs).max() / max(1.0, float(ours.abs().max())))
            if not error <= TOLERANCE:
                raise CheckpointError(f"{name}.onnx differs from its network by {error:.1e}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's warnings, which concern only its authors."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
