"""Names and layouts of official Flax parameters, and how they map to ours and back."""

import re
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

# Patterns of official paths (dots and slashes as they are) and our module paths, applied in order.
_RENAMES = [
    (r"^encoder_model/dense_layer_final/", "encoder/dense_out/"),
    (r"^encoder_model/(conv_out)/", r"encoder/\1/"),
    (r"^encoder_model/GroupNorm_0/", "encoder/norm_out/"),
    (r"^score_model/(conv_out)/", r"score/\1/"),
    (r"^score_model/GroupNorm_0/", "score/norm_out/"),
    (r"^score_model/up\.", "score/up."),
    (r"^encoder_model/", "encoder/trunk/"),
    (r"^score_model/", "score/trunk/"),
    (r"(down|up)\.block_(\d+)/", r"\1/\2/res/"),
    (r"(down|up)\.attn_(\d+)/", r"\1/\2/attn/"),
    (r"mid\.block_1/", "mid1/"),
    (r"mid\.attn_1/", "mid_attn/"),
    (r"mid\.block_2/", "mid2/"),
    (r"attn/GroupNorm_0/", "attn/norm/"),
    (r"GroupNorm_0/", "norm1/"),
    (r"GroupNorm_1/", "norm2/"),
    (r"nin_shortcut/", "shortcut/"),
    (r"(kernel|scale)$", "weight"),
]
# Patterns of our module paths, with slashes, and official paths, applied in order.
_RETURNS = [
    (r"^encoder/trunk/", "encoder_model/"),
    (r"^score/trunk/", "score_model/"),
    (r"^encoder/", "encoder_model/"),
    (r"^score/", "score_model/"),
    (r"dense_out/", "dense_layer_final/"),
    (r"(down|up)/(\d+)/res/", r"\1.block_\2/"),
    (r"(down|up)/(\d+)/attn/", r"\1.attn_\2/"),
    (r"mid1/", "mid.block_1/"),
    (r"mid_attn/", "mid.attn_1/"),
    (r"mid2/", "mid.block_2/"),
    (r"(norm_out|norm1|norm)/weight$", "GroupNorm_0/scale"),
    (r"(norm_out|norm1|norm)/", "GroupNorm_0/"),
    (r"norm2/weight$", "GroupNorm_1/scale"),
    (r"norm2/", "GroupNorm_1/"),
    (r"shortcut/", "nin_shortcut/"),
    (r"weight$", "kernel"),
]


def rename(path: str) -> str:
    """Return our state-dict name of an official leaf, given as its slash-joined path."""
    for pattern, replacement in _RENAMES:
        path = re.sub(pattern, replacement, path)
    return path.replace("/", ".")


def official_path(name: str) -> str:
    """Return the official path of one of our state-dict names."""
    path = name.replace(".", "/")
    for pattern, replacement in _RETURNS:
        path = re.sub(pattern, replacement, path)
    return path


def convert(path: str, value: np.ndarray) -> Tensor:
    """Return a leaf in our layout: dense kernels transposed, convolutions as (out, in, kh, kw)."""
    tensor = torch.tensor(value)
    if not path.endswith("kernel"):
        return tensor
    if tensor.ndim == 4:
        return tensor.permute(3, 2, 0, 1).contiguous()
    tensor = tensor.T.contiguous()
    return tensor[:, :, None, None] if "nin_shortcut" in path else tensor


def to_official(name: str, tensor: Tensor) -> Tensor:
    """Return one of our tensors in the official layout, as the inverse of `convert`."""
    if not official_path(name).endswith("kernel"):
        return tensor
    if name.endswith("shortcut.weight"):
        return tensor[:, :, 0, 0].T
    return tensor.permute(2, 3, 1, 0) if tensor.ndim == 4 else tensor.T


def official_shape(path: str, ours: tuple[int, ...]) -> tuple[int, ...]:
    """Return the official shape of a leaf that has shape `ours` in our layout."""
    if not path.endswith("kernel"):
        return ours
    if "nin_shortcut" in path:
        return ours[1], ours[0]
    if len(ours) == 4:
        outputs, inputs, height, width = ours
        return height, width, inputs, outputs
    return ours[1], ours[0]


def state_dict(leaves: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Return official leaves by slash-joined path as a state dict of
    `models.network.mulan.Mulan`."""
    return {rename(path): convert(path, value) for path, value in leaves.items()}
