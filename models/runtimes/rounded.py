"""The score network in bfloat16, for samples alone: what may be rounded in it, and what may not."""

import copy

import torch
from torch import Tensor, nn

from models.network.network import Network


def rounded(model: Network) -> nn.Module:
    """Return a copy of a model's score network with rounded weights, whose `exact_layers` compute
    in float32 always."""
    copied = copy.deepcopy(model.score)
    for layer in copied.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.bfloat16()
    for path in model.exact_layers:
        parent, _, name = path.rpartition(".")
        original = model.score.get_submodule(path)
        setattr(copied.get_submodule(parent), name, _Exact(original))
    return copied


class _Exact(nn.Module):
    """A layer that computes in float32 within a network that rounds."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            out: Tensor = self.layer(x.float())
        return out
