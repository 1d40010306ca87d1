"""ONNX graphs of a network's functions, with the weights left out.

A graph belongs to an architecture. It names each weight by its name in the checkpoint, as external
data, so that one graph serves every checkpoint of the architecture, and no weight is stored twice.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import onnx
import onnxruntime
import torch
from onnx import ModelProto, StringStringEntryProto, TensorProto
from torch import Tensor, nn
from torch.func import functional_call

from models.checkpoints.onnx_pull_back import PullBack
from models.network.network import Network
from models.schema.graphs import CONFIG_KEY, GRAPH_VERSION, VERSION_KEY
from models.schema.manifest import WEIGHTS

ROWS, PROBES = 5, 3


class Graph(NamedTuple):
    """One function to export: it takes weights, then inputs.

    `weights` are by their names in the checkpoint, `inputs` are examples by name, `outputs` names.
    """

    function: nn.Module
    weights: dict[str, Tensor]
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]


class _Coefficients(nn.Module):
    """A module that returns the coefficients of the schedule's polynomial as tensors."""

    def __init__(self, gamma: nn.Module) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, b, c, _, _ = self.gamma(latent)
        return a, b, c


class _OfWeights(nn.Module):
    """A network as a function of its parameters, in their order, and of its inputs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.names = [name for name, _ in network.named_parameters()]
        # In a list, so that the parameters are not this module's too.
        self.network = [network]

    def forward(self, *given: Tensor) -> Tensor | tuple[Tensor, ...]:
        weights = dict(zip(self.names, given, strict=False))
        found: Tensor | tuple[Tensor, ...] = functional_call(
            self.network[0], weights, given[len(weights) :]
        )
        return found


def graphs(model: Network) -> dict[str, Graph]:
    """Return the functions of a model to export; a fixed schedule and an absent encoder need no
    graph."""
    config, draws = model.config, torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, *config.chw, generator=draws)
    network_time = torch.rand(ROWS, generator=draws)
    latent = torch.zeros(ROWS, config.latent_size)
    latent[:, : config.latent_k] = 1.0
    asked = {"x": x, "network_time": network_time, "latent": latent}
    cotangents = torch.randn(ROWS, PROBES, *config.chw, generator=draws)
    found = {
        "score": Graph(_OfWeights(model.score), _weights(model, "score"), asked, ("prediction",)),
        "score_vjp": Graph(
            PullBack(model.score, config.chw, config.latent_size),
            _weights(model, "score"),
            asked | {"cotangents": cotangents},
            ("prediction", "pulled"),
        ),
    }
    if config.encodes:
        found["encoder"] = Graph(
            _OfWeights(model.encoder),
            _weights(model, "encoder"),
            {"x": x.clamp(-1, 1)},
            ("logits",),
        )
    if config.latent_size:
        found["schedule"] = Graph(
            _OfWeights(_Coefficients(model.gamma)),
            _weights(model, "gamma"),
            {"latent": latent},
            ("a", "b", "c"),
        )
    return found


def build(graph: Graph, config: str) -> ModelProto:
    """Return the graph for any number of rows and of probes, for the architecture `config`."""
    rows, probes = torch.export.Dim("rows", min=1), torch.export.Dim("probes", min=1)
    sizes = [{0: rows, 1: probes} if name == "cotangents" else {0: rows} for name in graph.inputs]
    given = (*graph.weights.values(), *graph.inputs.values())
    with _quiet():
        program = torch.onnx.export(
            torch.export.export(
                graph.function.eval(),
                given,
                dynamic_shapes=((*[None] * len(graph.weights), *sizes),),
                strict=False,
                prefer_deferred_runtime_asserts_over_guards=True,
            ),
            input_names=[*graph.weights, *graph.inputs],
            output_names=list(graph.outputs),
            dynamo=True,
            # It would take minutes, and what follows does more in seconds.
            optimize=False,
            verbose=False,
        )
    assert program is not None
    return _without_weights(_simplified(program.model_proto), graph, config)


def with_weights(model: ModelProto, weights: dict[str, Tensor]) -> ModelProto:
    """Return a copy of a graph that holds its weights."""
    whole = ModelProto()
    whole.CopyFrom(model)
    for tensor in whole.graph.initializer:
        if tensor.name in weights:
            values = weights[tensor.name].detach().cpu().numpy()
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    return whole


def _simplified(model: ModelProto) -> ModelProto:
    """Fold constants and shapes. The weights are inputs still, so nothing is made of them."""
    for kept in (model, model.graph, *model.graph.node):
        del kept.metadata_props[:]
        kept.doc_string = ""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with TemporaryDirectory() as folder:
        path = Path(folder) / "simplified.onnx"
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return onnx.load(path)


def _without_weights(model: ModelProto, graph: Graph, config: str) -> ModelProto:
    """Turn the inputs that are weights into external data, and leave out the exporter's notes."""
    for kept in (*model.graph.input, *model.graph.output):
        del kept.metadata_props[:]
    del model.graph.value_info[:]
    inputs = [item for item in model.graph.input if item.name not in graph.weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for name, value in graph.weights.items():
        external = TensorProto(
            name=name,
            data_type=TensorProto.FLOAT,
            dims=value.shape,
            data_location=TensorProto.EXTERNAL,
        )
        external.external_data.append(StringStringEntryProto(key="location", value=WEIGHTS))
        model.graph.initializer.append(external)
    onnx.helper.set_model_props(model, {VERSION_KEY: str(GRAPH_VERSION), CONFIG_KEY: config})
    return model


def _weights(model: Network, part: str) -> dict[str, Tensor]:
    module = model.get_submodule(part)
    return {f"{part}.{name}": value.detach() for name, value in module.named_parameters()}


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
