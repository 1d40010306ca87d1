"""The pull-back of cotangents through a network, as a function that an exporter can follow.

Exporters follow neither autograd nor a map over cotangents. So one backward pass is recorded as
plain operations and replayed with any number of rows and of cotangents: what the pass takes from
the forward pass is computed once a row, and the cotangents are rows of the rest.
"""

import functools
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch._decomp import core_aten_decompositions
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.node import map_aggregate

aten = torch.ops.aten
# The number of rows in the recording: a prime so large that whichever size is a multiple of it
# counts rows.
ROWS = 10_007
# Dimensions of at most this length are summed term by term: the frequencies of Fourier features.
_SHORT = 16
# Operations that broadcast, so that what a cotangent's row shares with its image need not be
# repeated.
_BROADCAST = {aten.add.Tensor, aten.mul.Tensor, aten.sub.Tensor}


class PullBack(nn.Module):
    """The map from weights, x, network time, latent and cotangents `[rows, probes, C, H, W]` to a
    network's prediction and J^T v for each cotangent, made of plain operations.

    `network` takes x `[rows, C, H, W]`, network time `[rows]` and latent `[rows, n]`; `names` are
    those of its parameters, in the order in which they are given.
    """

    def __init__(self, network: nn.Module, chw: tuple[int, ...], latent_size: int) -> None:
        super().__init__()
        self.names = [name for name, _ in network.named_parameters()]
        self.recorded = _record(network, self.names, chw, latent_size)
        nodes = list(self.recorded.graph.nodes)
        cotangent = [node for node in nodes if node.op == "placeholder"][-1]
        self.backward_nodes = {cotangent}
        for node in nodes:
            if any(before in self.backward_nodes for before in node.all_input_nodes):
                self.backward_nodes.add(node)
        _join_factors(self.recorded.graph, self.backward_nodes)

    def forward(self, *given: Tensor) -> tuple[Tensor, Tensor]:
        *before, cotangents = given
        rows, probes, *chw = cotangents.shape
        # The exporter follows shapes better where probes come first.
        flat = cotangents.transpose(0, 1).reshape(probes * rows, *chw)
        replay = _Replay(self.recorded, self.backward_nodes, rows, probes)
        out, pulled = replay.run(*before, flat)
        return out, pulled.reshape(probes, rows, *chw).transpose(0, 1)


class _Replay(fx.Interpreter):
    """One replay of the recording, with its own number of rows and of probes."""

    def __init__(
        self, recorded: fx.GraphModule, backward: set[fx.Node], rows: int, probes: int
    ) -> None:
        super().__init__(recorded)
        self.backward, self.rows, self.probes = backward, rows, probes
        self.repeats: dict[fx.Node, Any] = {}
        # Results of the backward pass as `[probes, rows, ...]`, where they are asked for so.
        self.apart: dict[fx.Node, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        if n.op == "output":
            return tuple(self._together(result) for result in n.all_input_nodes)
        if n.op != "call_function":
            return super().run_node(n)
        backward = n in self.backward
        rows = self.rows * self.probes if backward else self.rows
        if backward and n.target in _BROADCAST and self._of_rows(n):
            shared = [self._broadcast(argument) for argument in n.args]
            self.apart[n] = n.target(*shared, **n.kwargs)
            return None

        def found(argument: Any) -> Any:
            if isinstance(argument, fx.Node):
                crosses = backward and argument not in self.backward
                return self._repeated(argument) if crosses else self._together(argument)
            if type(argument) is int and argument and argument % ROWS == 0:
                return argument // ROWS * rows
            return argument

        args, kwargs = cast(Any, map_aggregate((n.args, dict(n.kwargs)), found))
        return n.target(*args, **kwargs)  # type: ignore[operator]

    def _of_rows(self, node: fx.Node) -> bool:
        """Return True if all operands are tensors with as many dimensions, rows first."""
        if len(node.all_input_nodes) < len(node.args):
            return False
        shapes: list[torch.Size] = [given.meta["val"].shape for given in node.all_input_nodes]
        rows_first = all(len(shape) and shape[0] == ROWS for shape in shapes)
        return rows_first and len({len(shape) for shape in shapes}) == 1

    def _broadcast(self, argument: Any) -> Tensor:
        value: Tensor = self.env[argument]
        if argument not in self.backward:
            return value
        if argument not in self.apart:
            self.apart[argument] = value.reshape(self.probes, self.rows, *value.shape[1:])
        return self.apart[argument]

    def _together(self, argument: fx.Node) -> Any:
        """Return a result with one dimension for rows and probes."""
        if self.env[argument] is None:
            whole = self.apart[argument]
            self.env[argument] = whole.reshape(self.probes * self.rows, *whole.shape[2:])
        return self.env[argument]

    def _repeated(self, node: fx.Node) -> Any:
        """Return a result of the forward pass for the rows of the backward pass."""
        if node not in self.repeats:
            self.repeats[node] = self._repeat(self.env[node], node.meta["val"])
        return self.repeats[node]

    def _repeat(self, value: Any, recorded: Any) -> Any:
        if not isinstance(value, Tensor) or not value.ndim or recorded.shape[0] % ROWS:
            return value
        rows, rest = recorded.shape[0] // ROWS * self.rows, list(value.shape[1:])
        return value.expand(self.probes, rows, *rest).reshape(self.probes * rows, *rest)


def _record(
    network: nn.Module, names: list[str], chw: tuple[int, ...], latent_size: int
) -> fx.GraphModule:
    """Record one forward and one backward pass of ROWS rows, without computing them."""

    def passes(*given: Tensor) -> tuple[Tensor, Tensor]:
        *weights, x, network_time, latent, cotangent = given
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            parameters = dict(zip(names, weights, strict=True))
            out = functional_call(network, parameters, (x, network_time, latent))
        (pulled,) = torch.autograd.grad(out, x, cotangent)
        return out.detach(), pulled

    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        weights = [mode.from_tensor(parameter.detach()) for parameter in network.parameters()]
        shapes = (ROWS, *chw), (ROWS,), (ROWS, latent_size), (ROWS, *chw)
        examples = [torch.empty(shape) for shape in shapes]
        recorded: fx.GraphModule = make_fx(passes, _decompositions(), tracing_mode="fake")(
            *weights, *examples
        )
    recorded.graph.eliminate_dead_code()
    return recorded


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
    """Differentiate by the image alone: a convolution of stride 1 with the weights turned around.

    Runtimes have faster kernels for it than for the transposed convolution.
    """
    assert not transposed
    assert groups == 1
    assert all(step == 1 for step in stride)
    turned = weight.flip(2, 3).transpose(0, 1)
    reach = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    around = [whole - p for whole, p in zip(reach, padding, strict=True)]
    pulled = aten.convolution(
        cotangent, turned, None, stride, around, dilation, False, output_padding, groups
    )
    return pulled, None, None


def _silu_backward(cotangent: Tensor, x: Tensor) -> Tensor:
    """Multiply by a derivative that is computed once a row."""
    s = torch.sigmoid(x)
    return cotangent * (s * (1 + x * (1 - s)))


def _group_norm_backward(
    cotangent: Tensor,
    x: Tensor,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor,
    rows: int,
    channels: int,
    positions: int,
    groups: int,
    mask: list[bool],
) -> tuple[Tensor, None, None]:
    """Differentiate by the image alone; what depends on the image is computed once a row."""
    grouped = rows, groups, channels // groups * positions
    scale = rstd[:, :, None] * weight.view(1, groups, channels // groups)
    scale = scale.view(rows, channels, 1, 1)
    normal = (x.view(grouped) - mean[:, :, None]) * rstd[:, :, None]
    scaled = (cotangent * scale).view(grouped)
    along = (scaled * normal).mean(2, keepdim=True)
    pulled = scaled - (normal * along + scaled.mean(2, keepdim=True))
    return pulled.view(x.shape), None, None


def _softmax_backward(cotangent: Tensor, out: Tensor, dim: int, dtype: torch.dtype) -> Tensor:
    """Sum by a matrix product, whose order does not depend on where a row lies in memory."""
    assert dim in (-1, out.ndim - 1)
    ones = torch.ones(out.shape[-1], 1, dtype=out.dtype, device=out.device)
    return out * cotangent - out * ((out * cotangent) @ ones)


def _sum(x: Tensor, dims: list[int] | None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Add up a short dimension term by term: the order in which a runtime sums may depend on the
    number of rows and of threads."""
    if dims is None or len(dims) != 1 or x.shape[dims[0]] > _SHORT:
        return NotImplemented
    (dim,) = dims
    total = functools.reduce(torch.add, x.unbind(dim))
    return total.unsqueeze(dim) if keepdim else total


def _group_norm(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    rows: int,
    channels: int,
    positions: int,
    groups: int,
    epsilon: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise each group, and return its mean and 1 / deviation `[rows, groups]` too."""
    grouped = x.view(rows, groups, channels // groups * positions)
    mean = grouped.mean(2, keepdim=True)
    centred = grouped - mean
    rstd = 1 / torch.sqrt((centred * centred).mean(2, keepdim=True) + epsilon)
    shape = 1, channels, 1, 1
    out = (centred * rstd).view(x.shape) * weight.view(shape) + bias.view(shape)
    return out, mean[:, :, 0], rstd[:, :, 0]


def _join_factors(graph: fx.Graph, backward: set[fx.Node]) -> None:
    """Multiply two factors of the forward pass with each other first: that is once a row."""
    for node in list(graph.nodes):
        if node.target is not aten.mul.Tensor or node not in backward:
            continue
        inner, factor = node.args
        if (
            isinstance(inner, fx.Node)
            and isinstance(factor, fx.Node)
            and inner.target is aten.mul.Tensor
            and inner in backward
            and len(inner.users) == 1
            and factor not in backward
            and isinstance(inner.args[1], fx.Node)
            and inner.args[1] not in backward
        ):
            with graph.inserting_before(node):
                joined = graph.call_function(aten.mul.Tensor, (inner.args[1], factor))
            joined.meta["val"] = inner.args[1].meta["val"]
            node.args = (inner.args[0], joined)
            graph.erase_node(inner)
            backward.discard(inner)


def _decompositions() -> dict[Any, Callable[..., Any]]:
    return dict(core_aten_decompositions()) | {
        aten.convolution_backward.default: _convolution_backward,
        aten.sum.dim_IntList: _sum,
        aten._softmax_backward_data.default: _softmax_backward,
        aten.silu_backward.default: _silu_backward,
        aten.native_group_norm.default: _group_norm,
        aten.native_group_norm_backward.default: _group_norm_backward,
    }
