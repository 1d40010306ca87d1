"""The score network in eager PyTorch."""

import copy

import torch
from torch import Tensor, nn

from models.network.mulan import Mulan
from models.network.unet import ScoreNetwork
from models.runtimes.denoiser import EAGER_QUANTUM, NetworkDenoiser
from models.runtimes.runtime import Precision
from models.runtimes.versions import torch_version


class EagerRuntime:
    """The modules as they are, on their model's device and in their parameters' dtype.

    In bfloat16, which is for samples, convolutions and matrix products round what they are given,
    but for those of the features of image and time, and for the last one.
    """

    name = "eager"
    least = EAGER_QUANTUM

    def __init__(self, model: Mulan, precision: Precision = "float32") -> None:
        self.model, self.precision = model, precision
        self.version = torch_version(model.device)
        self._network = model.score if precision == "float32" else _with_exact_ends(model.score)

    @torch.no_grad()
    def score(self, x: Tensor, network_time: Tensor, latent: Tensor) -> Tensor:
        rounded = self.precision == "bfloat16"
        with torch.autocast(x.device.type, torch.bfloat16, enabled=rounded):
            out: Tensor = self._network(x, network_time, latent)
        return out.to(x.dtype)

    def score_and_pull(
        self, x: Tensor, network_time: Tensor, latent: Tensor, cotangents: Tensor
    ) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            out: Tensor = self._network(x, network_time, latent)
        # Two backward passes over one graph cost less than one over twice the rows.
        pulled = [
            torch.autograd.grad(out, x, v, retain_graph=True)[0] for v in cotangents.unbind(1)
        ]
        return out.detach(), torch.stack(pulled, dim=1)


class _Exact(nn.Module):
    """A layer that computes in float32 within a network that rounds."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            out: Tensor = self.layer(x.float())
        return out


def _with_exact_ends(score: ScoreNetwork) -> ScoreNetwork:
    """Return a copy of a network with rounded weights, whose ends compute in float32 always."""
    copied = copy.deepcopy(score)
    for layer in copied.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.bfloat16()
    for module, name in (
        (copied.trunk, "dense0"),
        (copied.trunk, "dense1"),
        (copied.trunk, "conv_in"),
        (copied, "conv_out"),
    ):
        original = score.get_submodule(f"trunk.{name}" if module is copied.trunk else name)
        setattr(module, name, _Exact(original))
    return copied


def eager_denoiser(model: Mulan, quantum: int = EAGER_QUANTUM) -> NetworkDenoiser:
    """Return a checkpoint's networks in eager PyTorch, in calls of multiples of `quantum` rows."""
    return NetworkDenoiser(model, EagerRuntime(model), quantum, eager_quantum=quantum)
