"""A mixture of Gaussians with its exact score, which is scored like a checkpoint's images."""

import torch
from torch import Tensor

from models.evaluation.analytic import Mixture
from models.schema.config import ModelConfig

SHAPE, MODES = (8, 8, 1), 6
# Standard deviations of the modes' centres; least and widest variance within a mode.
SPREAD, VARIANCES = 0.4, (0.02, 0.32)


def gaussian_mixture(seed: int = 0) -> Mixture:
    """Return six axis-aligned modes in 64 dimensions, under a curved schedule of each pixel's
    own."""
    dice = torch.Generator().manual_seed(seed)
    config = ModelConfig(image_shape=SHAPE, vocabulary=256, latent_size=4, latent_k=1)
    low, high = VARIANCES
    size = (MODES, config.dimensions)
    return Mixture(
        config,
        0.2 + torch.rand(MODES, generator=dice),
        SPREAD * torch.randn(size, generator=dice),
        low + (high - low) * torch.rand(size, generator=dice),
        schedule_seed=seed,
    )


def tokens_of(mixture: Mixture, count: int, seed: int) -> Tensor:
    """Return draws from the mixture as pixel tokens `[count, C, H, W]`, clipped to the range of
    tokens."""
    dice = torch.Generator().manual_seed(seed)
    mode = torch.multinomial(mixture.weights, count, replacement=True, generator=dice)
    noise = torch.randn(count, mixture.config.dimensions, generator=dice)
    x = mixture.means[mode] + mixture.variances[mode].sqrt() * noise
    vocabulary = mixture.config.vocabulary
    tokens = (vocabulary * (x + 1) / 2).floor().clamp(0, vocabulary - 1)
    return tokens.to(torch.uint8).view(count, *mixture.config.chw)
