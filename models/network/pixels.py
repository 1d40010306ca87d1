"""Pixel tokens as numbers in [-1, 1], and back."""

import math

import torch
from torch import Tensor

from models.schema.config import ModelConfig


def tokens_to_data(tokens: Tensor, config: ModelConfig) -> Tensor:
    """Convert pixel tokens 0..V-1 to their places in [-1, 1], float64."""
    return 2 * (tokens.double() + config.first_bin) / config.bins - 1


def data_to_levels(x0: Tensor, config: ModelConfig) -> Tensor:
    """Convert the end of a trajectory, x at t = 0, to pixel values between 0 and V-1, float64: what
    `data_to_tokens` rounds."""
    return (_bins(x0, config) - config.first_bin).clamp(0, config.vocabulary - 1)


def data_to_tokens(x0: Tensor, config: ModelConfig) -> Tensor:
    """Convert the end of a trajectory, x at t = 0, to the nearest tokens, uint8."""
    nearest = torch.floor(_bins(x0, config) + (0.5 - config.first_bin))
    return nearest.clamp(0, config.vocabulary - 1).to(torch.uint8)


def _bins(x0: Tensor, config: ModelConfig) -> Tensor:
    scaled = x0.double() * math.exp(-config.log_alpha0)
    return config.bins * (scaled + 1) / 2
