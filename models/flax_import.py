"""Official Flax parameters: how their names and layouts map to ours."""

import re
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

# Official path (dots and slashes as they are) -> our module path. Applied in order.
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


def rename(path: str) -> str:
    """Our state-dict name of an official leaf, given as its slash-joined path."""
    for pattern, replacement in _RENAMES:
        path = re.sub(pattern, replacement, path)
    return path.replace("/", ".")


def convert(path: str, value: np.ndarray) -> Tensor:
    """A leaf in our layout: dense kernels transposed, convolutions as (out, in, kh, kw)."""
    tensor = torch.from_numpy(np.ascontiguousarray(value))
    if not path.endswith("kernel"):
        return tensor
    if tensor.ndim == 4:
        return tensor.permute(3, 2, 0, 1).contiguous()
    tensor = tensor.T.contiguous()
    return tensor[:, :, None, None] if "nin_shortcut" in path else tensor


def state_dict(leaves: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Official leaves by slash-joined path, as a state dict of `models.network.Mulan`."""
    return {rename(path): convert(path, value) for path, value in leaves.items()}
