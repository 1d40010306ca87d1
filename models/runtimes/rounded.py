"""The score network in bfloat16, for samples alone: what may be rounded in it, and what may not."""

import copy

import torch
from torch import Tensor, nn

from models.network.unet import ScoreNetwork


def rounded(score: ScoreNetwork) -> ScoreNetwork:
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


class _Exact(nn.Module):
    """A layer that computes in float32 within a network that rounds."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            out: Tensor = self.layer(x.float())
        return out
