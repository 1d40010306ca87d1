"""Tables of numbers that a device keeps."""

from functools import cache
from typing import TypeAlias

import torch
from torch import Tensor

Numbers: TypeAlias = "tuple[float, ...] | tuple[tuple[float, ...], ...]"


@cache
def constant(numbers: Numbers, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return `numbers` as a tensor on a device, copied there once and for all: a GPU's host waits
    for a copy, and a CUDA graph cannot hold one. It must not be written to."""
    return torch.tensor(numbers, dtype=dtype, device=device)
