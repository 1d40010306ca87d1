"""The score network in eager PyTorch."""

import torch
from torch import Tensor

from models.network.network import Network
from models.runtimes.denoiser import EAGER_QUANTUM, NetworkDenoiser
from models.runtimes.rounded import rounded
from models.runtimes.runtime import Precision
from models.runtimes.versions import torch_version


class EagerRuntime:
    """The modules as they are, on their model's device and in their parameters' dtype.

    In bfloat16, which is for samples, convolutions and matrix products round what they are given,
    but for those of the features of image and time, and for the last one.
    """

    name = "eager"
    least = EAGER_QUANTUM

    def __init__(self, model: Network, precision: Precision = "float32") -> None:
        self.model, self.precision = model, precision
        self.version = torch_version(model.device)
        self._network = model.score if precision == "float32" else rounded(model)

    @torch.no_grad()
    def score(self, x: Tensor, network_time: Tensor, latent: Tensor) -> Tensor:
        half = self.precision == "bfloat16"
        with torch.autocast(x.device.type, torch.bfloat16, enabled=half):
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


def eager_denoiser(model: Network, quantum: int = EAGER_QUANTUM) -> NetworkDenoiser:
    """Return a checkpoint's networks in eager PyTorch, in calls of multiples of `quantum` rows."""
    return NetworkDenoiser(model, EagerRuntime(model), quantum, eager_quantum=quantum)
