"""The score network as CUDA graphs: one launch for a call, whatever it consists of."""

from typing import NamedTuple

import torch
from torch import Tensor

from models.network.network import Network
from models.runtimes.graphs import CudaGraphs, GraphCapture, Recording, Tensors
from models.runtimes.rounded import rounded
from models.runtimes.runtime import Precision
from models.runtimes.versions import torch_version
from models.schema.errors import UnavailableRuntimeError

# The numbers of rows that graphs are recorded for. A call takes the least that it fits in.
BUCKETS = (16, 32, 64, 128)


class _Call(NamedTuple):
    """A recorded call, with the tensors that it reads."""

    inputs: Tensors
    recording: Recording


class CudaGraphRuntime:
    """The network's modules, recorded once for each size of call and number of probes.

    A call copies its rows into the graph's own tensors, replays the graph, and copies the answers
    out. Rows of the graph that the call does not fill keep what an earlier call left there. A call
    of more rows than the largest of `buckets`, which ascend, is split. All probes of a call are
    pulled back by one backward pass, as further rows of it. In bfloat16, which is for samples, what
    `EagerRuntime` rounds is rounded.
    """

    name = "cuda-graph"

    def __init__(
        self,
        model: Network,
        graphs: GraphCapture,
        buckets: tuple[int, ...] = BUCKETS,
        precision: Precision = "float32",
    ) -> None:
        self.model, self.graphs, self.buckets = model, graphs, buckets
        self.precision = precision
        self._network = model.score if precision == "float32" else rounded(model)
        self.version = torch_version(model.device)
        self.least = buckets[0]
        self._calls: dict[tuple[int, int], _Call] = {}

    def score(self, x: Tensor, network_time: Tensor, latent: Tensor) -> Tensor:
        (out,) = self._run(0, (x, network_time, latent))
        return out

    def score_and_pull(
        self, x: Tensor, network_time: Tensor, latent: Tensor, cotangents: Tensor
    ) -> tuple[Tensor, Tensor]:
        out, pulled = self._run(cotangents.shape[1], (x, network_time, latent, cotangents))
        return out, pulled

    def _run(self, probes: int, given: Tensors) -> Tensors:
        parts = zip(*(torch.split(leaf, self.buckets[-1]) for leaf in given), strict=True)
        found = [self._replay(probes, part) for part in parts]
        return found[0] if len(found) == 1 else tuple(map(torch.cat, zip(*found, strict=True)))

    def _replay(self, probes: int, given: Tensors) -> Tensors:
        rows = len(given[0])
        key = next(size for size in self.buckets if size >= rows), probes
        if key not in self._calls:
            self._calls[key] = self._record(*key)
        inputs, (outputs, replay) = self._calls[key]
        for fixed, leaf in zip(inputs, given, strict=True):
            fixed[:rows].copy_(leaf)
        replay()
        return tuple(output[:rows].clone() for output in outputs)

    def _record(self, rows: int, probes: int) -> _Call:
        config, device = self.model.config, self.model.device
        shapes = [config.chw, (), (config.condition_size,), (probes, *config.chw)]
        inputs = tuple(
            torch.zeros(rows, *shape, device=device) for shape in shapes[: 4 if probes else 3]
        )
        return _Call(inputs, self.graphs.capture(lambda: self._work(*inputs)))

    def _work(
        self, x: Tensor, network_time: Tensor, latent: Tensor, cotangents: Tensor | None = None
    ) -> Tensors:
        if cotangents is None:
            # Weights that autocast has rounded would be freed while the graph still reads them.
            half = torch.autocast(
                x.device.type,
                torch.bfloat16,
                enabled=self.precision == "bfloat16",
                cache_enabled=False,
            )
            with torch.no_grad(), half:
                return (self._network(x, network_time, latent).to(x.dtype),)
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            out: Tensor = self._network(x, network_time, latent)
        by_probe = cotangents.transpose(0, 1)
        (pulled,) = torch.autograd.grad(out, x, by_probe, is_grads_batched=True)
        return out.detach(), pulled.transpose(0, 1)


def cuda_graph_runtime(model: Network, precision: Precision = "float32") -> CudaGraphRuntime:
    """Return the runtime for a model on a CUDA device.

    Raises UnavailableRuntimeError for a model anywhere else.
    """
    if model.device.type != "cuda":
        raise UnavailableRuntimeError(
            f"the runtime cuda-graph needs a CUDA device, and the model is on {model.device}"
        )
    return CudaGraphRuntime(model, CudaGraphs(model.device), precision=precision)
