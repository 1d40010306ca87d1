"""The score network with gradients, for what is learned through a solver."""

from torch import Tensor

from models.network.network import Network
from models.runtimes.denoiser import NetworkDenoiser
from models.runtimes.eager import EagerRuntime


class DifferentiableRuntime(EagerRuntime):
    """The eager runtime in float32, whose output has a gradient by everything that it is given."""

    name = "differentiable"

    def score(self, x: Tensor, network_time: Tensor, latent: Tensor) -> Tensor:
        out: Tensor = self.model.score(x, network_time, latent)
        return out


def differentiable_denoiser(model: Network) -> NetworkDenoiser:
    """Return a checkpoint's networks with gradients, in calls of any number of rows."""
    return NetworkDenoiser(model, DifferentiableRuntime(model), quantum=1)
