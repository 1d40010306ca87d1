"""The test images that commands measure likelihoods on."""

import torch
from torch import Tensor

from models.evaluation.recorded_data import RecordedData, subset
from models.schema.manifest import Manifest


def chosen_test_images(
    manifest: Manifest, data: str | None, test_data: str | None, count: int, seed: int
) -> Tensor:
    """Return at most `count` test images of a checkpoint, drawn by `seed`: uint8 tokens
    `[N, C, H, W]`. Raises DataError where they cannot be read."""
    chosen = subset(RecordedData(manifest, data, test_data).images("test"), count, seed)
    return torch.from_numpy(chosen).permute(0, 3, 1, 2).contiguous()
