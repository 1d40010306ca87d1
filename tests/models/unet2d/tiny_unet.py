"""Tiny models of diffusers, in folders as its own code saves them."""

from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DModel

UNET: dict[str, Any] = {
    "sample_size": 8,
    "in_channels": 1,
    "out_channels": 1,
    "block_out_channels": (8, 16),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "norm_num_groups": 4,
}


def unet(seed: int = 0, **settings: Any) -> UNet2DModel:
    """Return a network with random weights."""
    torch.manual_seed(seed)
    return UNet2DModel(**UNET | settings).eval()


def scheduler(**settings: Any) -> DDPMScheduler:
    """Return a scheduler that clips nothing."""
    return DDPMScheduler(**{"clip_sample": False} | settings)


def save(folder: Path, network: UNet2DModel, noise: Any, *, pipeline: bool = True) -> Path:
    """Save a pipeline's folder, or a model's with the scheduler's settings beside it."""
    network.save_pretrained(folder / "unet" if pipeline else folder)
    noise.save_pretrained(folder / "scheduler" if pipeline else folder)
    return folder
