"""Noise of a row as a pure function of (seed, number, stream, draw), the same on any device.

The generator is Philox 4x32-10 (Salmon et al., SC 2011), vectorised over rows. Two draws that
differ in any of the four never share a counter, so rows share no random numbers.
"""

import math
from enum import IntEnum

import torch
from torch import Tensor

from models.rows.rows import NoiseKey

WORD = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10


class Stream(IntEnum):
    """The purposes of draws, which keep the random numbers of one row apart."""

    START = 0
    LATENT = 1
    STEP = 2
    PROPOSAL = 3
    ACCEPT = 4
    DEQUANTIZE = 5
    PROBE = 6
    FRESH = 7


def philox(counter: Tensor, key: Tensor) -> Tensor:
    """Apply ten rounds to `counter` `[..., 4]` under `key` `[..., 2]`; int64 tensors of 32-bit
    words."""
    multipliers = _pair(*MULTIPLIERS, counter.device)
    rounds = torch.arange(ROUNDS, device=counter.device)[:, None]
    keys = key[..., None, :] + rounds * _pair(*WEYL, counter.device)
    even, odd = counter[..., 0::2], counter[..., 1::2]
    for round_key in keys.unbind(-2):
        # Signed overflow keeps the low 64 bits. What lies above a word's 32 is masked only where a
        # product would feel it: before the next round, and at the end.
        product = (even * multipliers).flip(-1)
        even, odd = ((product >> 32) ^ odd ^ round_key) & WORD, product
    return torch.stack([even, odd & WORD], dim=-1).flatten(-2)


def _pair(first: int, second: int, device: torch.device) -> Tensor:
    """Return two numbers as a tensor that the device makes itself: one that the host made would be
    copied there, and a GPU's host waits for that."""
    step = second - first
    return torch.arange(first, first + 2 * step, step, device=device)


def _words(key: NoiseKey, stream: Stream, draw: Tensor | int, words: int) -> Tensor:
    """Return `[rows, words]` random 32-bit words, as int64."""
    rows, device = key.seed.shape[0], key.seed.device
    blocks = -(-words // 4)
    counter = torch.empty(rows, blocks, 4, dtype=torch.int64, device=device)
    counter[..., 0] = torch.arange(blocks, device=device)
    counter[..., 1] = draw[:, None] if isinstance(draw, Tensor) else draw
    counter[..., 2] = key.number[:, None]
    counter[..., 3] = int(stream)
    halves = torch.stack([key.seed & WORD, (key.seed >> 32) & WORD], dim=-1)
    return philox(counter, halves[:, None]).flatten(1)[:, :words]


def uniform(key: NoiseKey, stream: Stream, draw: Tensor | int, shape: tuple[int, ...]) -> Tensor:
    """Return uniforms in the open interval (0, 1), float64 with 52 bits, `[rows, *shape]`.

    `draw` (an int, or `[rows]` int64) counts the uses of one stream.
    """
    size = math.prod(shape)
    words = _words(key, stream, draw, 2 * size)
    high, low = words[:, 0::2], words[:, 1::2]
    # With a 53rd bit the largest value would round to 1.
    bits = (high << 20) | (low >> 12)
    values = (bits.double() + 0.5) * 2.0**-52
    return values.reshape(len(words), *shape)


def normal(key: NoiseKey, stream: Stream, draw: Tensor | int, shape: tuple[int, ...]) -> Tensor:
    """Return standard normals by Box and Muller's transform, float32, `[rows, *shape]`."""
    size = math.prod(shape)
    pairs = -(-size // 2)
    words = _words(key, stream, draw, 2 * pairs).double().add_(0.5).mul_(2.0**-32)
    radius = torch.sqrt(-2 * torch.log(words[:, :pairs]))
    angle = 2 * math.pi * words[:, pairs:]
    values = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :size]
    return values.float().reshape(-1, *shape)


def rademacher(key: NoiseKey, stream: Stream, draw: Tensor | int, shape: tuple[int, ...]) -> Tensor:
    """Return signs -1 or +1 with equal probability, float32, `[rows, *shape]`."""
    size = math.prod(shape)
    bits = _words(key, stream, draw, size) & 1
    return (2 * bits - 1).float().reshape(-1, *shape)
