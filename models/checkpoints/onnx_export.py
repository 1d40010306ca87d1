"""ONNX graphs of a checkpoint: for other programs, and for the service's runtime."""

from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import ModelProto

from models.checkpoints.checkpoint import Checkpoint
from models.checkpoints.onnx_graphs import Graph, build, graphs, with_weights
from models.files.folders import new_folder, replacing
from models.schema.architectures import require_mulan
from models.schema.errors import CheckpointError
from models.schema.graphs import GRAPHS, SERVED

TOLERANCE = 1e-4


def export_onnx(checkpoint: Checkpoint, folder: Path) -> list[Path]:
    """Write the networks as ONNX graphs to a new `folder` and check each against its network.

    The graphs hold their weights and take any number of rows. `score` maps x_t `[rows, C, H, W]`,
    the network time `[rows]` and the latent `[rows, n]` to the network's prediction; `score_vjp`
    also pulls cotangents `[rows, probes, C, H, W]` back through it; `encoder` maps clean images to
    logits, and `schedule` maps a latent to the polynomial's coefficients. Returns the files. Raises
    CheckpointError where a graph disagrees with its network, for networks that are not MULAN's, and
    when `folder` exists already.
    """
    require_mulan(checkpoint.manifest.config, "an ONNX graph")
    found = graphs(checkpoint.model.cpu())
    with new_folder(folder) as partial:
        for name, graph in found.items():
            _write(_checked(graph, name, checkpoint), graph, partial / f"{name}.onnx")
    return [folder / f"{name}.onnx" for name in found]


def make_graphs(checkpoint: Checkpoint, folder: Path) -> list[Path]:
    """Write the graphs that the service's runtime calls into the checkpoint's `folder`.

    They hold no weights, and those of checkpoints of one architecture are equal. Returns the files.
    Raises CheckpointError where a graph disagrees with its network, and for networks that are not
    MULAN's.
    """
    require_mulan(checkpoint.manifest.config, "an ONNX graph")
    found = graphs(checkpoint.model.cpu())
    files = []
    (folder / GRAPHS).mkdir(exist_ok=True)
    for name in SERVED:
        model = _checked(found[name], name, checkpoint)
        with replacing(folder / GRAPHS / f"{name}.onnx") as partial:
            partial.write_bytes(model.SerializeToString())
        files.append(folder / GRAPHS / f"{name}.onnx")
    return files


def _checked(graph: Graph, name: str, checkpoint: Checkpoint) -> ModelProto:
    """Return the graph without weights after a comparison of it with its network, on fewer and on
    more rows than it was traced with."""
    model = build(graph, checkpoint.manifest.config.model_dump_json())
    whole = with_weights(model, graph.weights).SerializeToString()
    session = onnxruntime.InferenceSession(whole, providers=["CPUExecutionProvider"])
    for index in (torch.tensor([1]), torch.tensor([2, 0, 1, 1, 0, 3, 4])):
        inputs = {key: value[index] for key, value in graph.inputs.items()}
        if "cotangents" in inputs:
            inputs["cotangents"] = inputs["cotangents"][:, : 1 + len(index) % 3]
        with torch.no_grad():
            expected = graph.function(*graph.weights.values(), *inputs.values())
        expected = expected if isinstance(expected, tuple) else (expected,)
        found: list[NDArray[np.float32]] = session.run(
            None, {key: value.numpy() for key, value in inputs.items()}
        )
        for ours, theirs in zip(expected, found, strict=True):
            error = float(np.abs(ours.numpy() - theirs).max() / max(1.0, float(ours.abs().max())))
            if not error <= TOLERANCE:
                raise CheckpointError(f"{name}.onnx differs from its network by {error:.1e}")
    return model


def _write(model: ModelProto, graph: Graph, path: Path) -> None:
    path.write_bytes(with_weights(model, graph.weights).SerializeToString())
