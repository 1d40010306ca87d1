"""The official MULAN score network and its building blocks (Sahoo et al., 2024; VDM's U-Net).

It does not change the resolution: "down" and "up" name the blocks that push and pop skips.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from models.schema.mulan import MulanConfig

NORM_EPSILON = 1e-6
EMBEDDING_PERIOD = 10_000


def embed_time(s: Tensor, width: int, scale: float) -> Tensor:
    """Return sinusoidal features `[rows, width]` of network times `s` `[rows]`.

    The largest angular frequency is `scale`.
    """
    half = width // 2
    exponents = torch.arange(half, dtype=s.dtype, device=s.device) / (half - 1)
    angles = scale * s[:, None] * torch.exp(-math.log(EMBEDDING_PERIOD) * exponents)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def fourier_features(x: Tensor, config: MulanConfig, s: Tensor) -> Tensor:
    """Append sin and cos of w x, w = 2 pi 2^p, to the channels of `x` `[rows, C, H, W]`.

    With `fourier_fade` each feature is multiplied by exp(-(w sigma)^2 / 2), the factor by which
    noise of scale sigma shrinks its mean; sigma follows from the mean of gamma at network times `s`
    `[rows]`.
    """
    if not config.fourier:
        return x
    # Numbers that the host keeps as a list would be copied, and a GPU's host waits for a copy.
    w = torch.stack([x.new_full((), 2 * math.pi * 2.0**p) for p in config.fourier])
    angles = x[:, :, None] * w[:, None, None]
    waves = torch.stack([angles.sin(), angles.cos()], dim=1)
    if config.fourier_fade:
        gamma = config.gamma_min + (config.gamma_max - config.gamma_min) * s
        # Written out, because a runtime's own sigmoid may be coarse where w multiplies it by 10^5.
        variance = 1 / (1 + torch.exp(-gamma))
        fade = torch.exp(-0.5 * variance[:, None] * w.square())
        waves = waves * fade[:, None, None, :, None, None]
    return torch.cat([x, waves.flatten(1, 3)], dim=1)


def fourier_channels(config: MulanConfig) -> int:
    """Return the number of channels that `fourier_features` makes of an image."""
    return config.image_shape[2] * (1 + 2 * len(config.fourier))


class ResBlock(nn.Module):
    """Two normalised convolutions with the conditioning added between them, and a residual
    connection."""

    def __init__(self, inputs: int, config: MulanConfig) -> None:
        super().__init__()
        width = config.width
        self.norm1 = nn.GroupNorm(config.groups, inputs, eps=NORM_EPSILON)
        self.conv1 = nn.Conv2d(inputs, width, 3, padding=1)
        self.cond_proj = nn.Linear(4 * width, width, bias=False)
        self.norm2 = nn.GroupNorm(config.groups, width, eps=NORM_EPSILON)
        self.dropout = nn.Dropout(config.dropout)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = nn.Identity() if inputs == width else nn.Conv2d(inputs, width, 1)
        _zero(self.conv2)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = self.conv1(silu(self.norm1(x)))
        h = h + self.cond_proj(condition)[:, :, None, None]
        h = self.conv2(self.dropout(silu(self.norm2(h))))
        return torch.add(self.shortcut(x), h)


class Attention(nn.Module):
    """Single-head self-attention over all positions, with a residual connection.

    Plain matrix products export to every runtime and have derivatives of all orders.
    """

    def __init__(self, config: MulanConfig) -> None:
        super().__init__()
        width = config.width
        self.norm = nn.GroupNorm(config.groups, width, eps=NORM_EPSILON)
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width)
        self.v = nn.Linear(width, width)
        self.proj_out = nn.Linear(width, width)
        _zero(self.proj_out)

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.norm(x).flatten(2).transpose(1, 2)
        scores = (self.q(h) * x.shape[1] ** -0.5) @ self.k(h).transpose(1, 2)
        h = self.proj_out(scores.softmax(dim=-1) @ self.v(h))
        return x + h.transpose(1, 2).reshape(x.shape)


class Block(nn.Module):
    """A residual block and, where the configuration has it, attention after it."""

    def __init__(self, inputs: int, config: MulanConfig) -> None:
        super().__init__()
        self.res = ResBlock(inputs, config)
        self.attn = Attention(config) if config.attention else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        out: Tensor = self.attn(self.res(x, condition))
        return out


class Trunk(nn.Module):
    """The part that score network and encoder share: conditioning, stem, down blocks and middle."""

    def __init__(self, config: MulanConfig, depth: int, conditions: int) -> None:
        super().__init__()
        width = config.width
        self.config = config
        self.dense0 = nn.Linear(width + conditions, 4 * width)
        self.dense1 = nn.Linear(4 * width, 4 * width)
        self.stem = nn.PixelUnshuffle(config.patch)
        self.conv_in = nn.Conv2d(fourier_channels(config) * config.patch**2, width, 3, padding=1)
        self.down = nn.ModuleList(Block(width, config) for _ in range(depth))
        self.mid1 = ResBlock(width, config)
        self.mid_attn = Attention(config)
        self.mid2 = ResBlock(width, config)

    def forward(
        self, x: Tensor, s: Tensor, conditions: Tensor
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return the middle features, the conditioning vector and the skips, oldest first."""
        c = torch.cat([embed_time(s, self.config.width, self.config.time_scale), conditions], dim=1)
        c = silu(self.dense1(silu(self.dense0(c))))
        h = self.conv_in(self.stem(fourier_features(x, self.config, s)))
        skips = [h]
        for block in self.down:
            h = block(h, c)
            skips.append(h)
        return self.mid2(self.mid_attn(self.mid1(h, c)), c), c, skips


class CoarseStage(nn.Module):
    """A residual U-Net at half the resolution, which models the layout of an image at low cost.

    The official network has no such stage.
    """

    def __init__(self, config: MulanConfig, width: int) -> None:
        super().__init__()
        wide = config.model_copy(update={"width": width})
        self.condition = nn.Linear(4 * config.width, 4 * width)
        self.shrink = nn.PixelUnshuffle(2)
        self.conv_in = nn.Conv2d(4 * config.width, width, 1)
        self.down = nn.ModuleList(Block(width, wide) for _ in range(config.depth))
        self.mid1 = ResBlock(width, wide)
        self.mid_attn = Attention(wide)
        self.mid2 = ResBlock(width, wide)
        self.up = nn.ModuleList(Block(2 * width, wide) for _ in range(config.depth + 1))
        self.norm_out = nn.GroupNorm(config.groups, width, eps=NORM_EPSILON)
        self.conv_out = nn.Conv2d(width, 4 * config.width, 1)
        self.grow = nn.PixelShuffle(2)
        _zero(self.conv_out)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return features shaped as `x` `[rows, width, H, W]`; H and W are even."""
        c = silu(self.condition(condition))
        h = self.conv_in(self.shrink(x))
        skips = [h]
        for block in self.down:
            h = block(h, c)
            skips.append(h)
        h = self.mid2(self.mid_attn(self.mid1(h, c)), c)
        for block in self.up:
            h = block(torch.cat([h, skips.pop()], dim=1), c)
        return torch.add(self.grow(self.conv_out(silu(self.norm_out(h)))), x)


class ScoreNetwork(nn.Module):
    """The network of x_t, its time and the latent. The configuration says what it predicts."""

    def __init__(self, config: MulanConfig) -> None:
        super().__init__()
        width, channels = config.width, config.image_shape[2]
        self.residual = config.residual
        self.trunk = Trunk(config, config.depth, config.latent_size)
        self.coarse = CoarseStage(config, config.coarse_width) if config.coarse_width else None
        self.up = nn.ModuleList(Block(2 * width, config) for _ in range(config.depth + 1))
        self.norm_out = nn.GroupNorm(config.groups, width, eps=NORM_EPSILON)
        self.conv_out = nn.Conv2d(width, channels * config.patch**2, 3, padding=1)
        self.unstem = nn.PixelShuffle(config.patch)
        _zero(self.conv_out)

    def forward(self, x: Tensor, s: Tensor, latent: Tensor) -> Tensor:
        """Return the prediction, shaped as `x` `[rows, C, H, W]`; `s` is `[rows]`, `latent` `[rows,
        n]`."""
        h, c, skips = self.trunk(x, s, latent)
        if self.coarse is not None:
            h = self.coarse(h, c)
        for block in self.up:
            h = block(torch.cat([h, skips.pop()], dim=1), c)
        out: Tensor = self.unstem(self.conv_out(silu(self.norm_out(h))))
        return out + x if self.residual else out


def _zero(layer: nn.Conv2d | nn.Linear) -> None:
    """Initialise a layer to zero, so that it adds nothing to its residual at first."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
