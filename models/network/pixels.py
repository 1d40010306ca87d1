"""Pixel tokens as numbers in [-1, 1], and back."""

import math

import torch
from torch import Tensor

from models.schema.config import ModelConfig


def tokens_to_data(tokens: Tensor, config: ModelConfig) -> Tensor:
    """Convert pixel tokens 0..V-1 to their places in [-1, 1], float64."""
    return 2 * (tokens.double() + config.first_bin) / config.bins - 1


def data_to_tokens(x0: Tensor, config: ModelConfig) -> Tensor:
    """Convert the end of a trajectory, x at t = 0, to the nearest tokens, uint8."""
    scaled = x0.double() * math.exp(-config.log_alpha0)
    bins = torch.floor(config.bins * (scaled + 1) / 2 + (0.5 - config.first_bin))
    return bins.clamp(0, config.vocabulary - 1).to(torch.uint8)
