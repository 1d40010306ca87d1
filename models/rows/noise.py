"""Noise of a row as a pure function of (seed, number, stream, use), the same on any device.

The generator is Philox 4x32-10 (Salmon et al., SC 2011), vectorised over rows. Two draws that
differ in any of the four never share a counter, so rows share no random numbers.
"""

import math
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

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


class Law(NamedTuple):
    """A distribution: how many random 32-bit `words` so many values take, and the `values`
    `[rows, size]` made of them."""

    words: Callable[[int], int]
    values: Callable[[Tensor, int], Tensor]


class Draw(NamedTuple):
    """One draw for each row: values of a `shape` under a `law`. `use` (an int, or `[rows]` int64)
    counts the uses of the `stream`."""

    law: Law
    stream: Stream
    use: Tensor | int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """The number of values for each row."""
        return math.prod(self.shape)


def draw(key: NoiseKey, *wanted: Draw) -> list[Tensor]:
    """Return the values of each draw, `[rows, *shape]`, from one pass of the generator."""
    rows, device = key.seed.shape[0], key.seed.device
    words = [one.law.words(one.size) for one in wanted]
    blocks = [-(-count // 4) for count in words]
    counter = torch.empty(rows, sum(blocks), 4, dtype=torch.int64, device=device)
    counter[..., 2] = key.number[:, None]
    for one, part in zip(wanted, torch.split(counter, blocks, dim=1), strict=True):
        part[..., 0] = torch.arange(part.shape[1], device=device)
        part[..., 1] = one.use[:, None] if isinstance(one.use, Tensor) else one.use
        part[..., 3] = int(one.stream)
    halves = torch.stack([key.seed & WORD, (key.seed >> 32) & WORD], dim=-1)
    drawn = torch.split(philox(counter, halves[:, None]), blocks, dim=1)
    return [
        one.law.values(part.flatten(1)[:, :count], one.size).reshape(rows, *one.shape)
        for one, count, part in zip(wanted, words, drawn, strict=True)
    ]


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


def uniform(key: NoiseKey, stream: Stream, use: Tensor | int, shape: tuple[int, ...]) -> Tensor:
    """Return uniforms in the open interval (0, 1), float64 with 52 bits, `[rows, *shape]`."""
    return draw(key, Draw(UNIFORM, stream, use, shape))[0]


def normal(key: NoiseKey, stream: Stream, use: Tensor | int, shape: tuple[int, ...]) -> Tensor:
    """Return standard normals by Box and Muller's transform, float32, `[rows, *shape]`."""
    return draw(key, Draw(NORMAL, stream, use, shape))[0]


def rademacher(key: NoiseKey, stream: Stream, use: Tensor | int, shape: tuple[int, ...]) -> Tensor:
    """Return signs -1 or +1 with equal probability, float32, `[rows, *shape]`."""
    return draw(key, Draw(SIGNS, stream, use, shape))[0]


def _uniforms(words: Tensor, size: int) -> Tensor:
    high, low = words[:, 0::2], words[:, 1::2]
    # With a 53rd bit the largest value would round to 1.
    bits = (high << 20) | (low >> 12)
    return (bits.double() + 0.5) * 2.0**-52


def _normals(words: Tensor, size: int) -> Tensor:
    pairs = words.shape[1] // 2
    units = words.double().add_(0.5).mul_(2.0**-32)
    radius = torch.sqrt(-2 * torch.log(units[:, :pairs]))
    angle = 2 * math.pi * units[:, pairs:]
    return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :size].float()


def _signs(words: Tensor, size: int) -> Tensor:
    return (2 * (words & 1) - 1).float()


UNIFORM = Law(lambda size: 2 * size, _uniforms)
NORMAL = Law(lambda size: 2 * -(-size // 2), _normals)
SIGNS = Law(lambda size: size, _signs)
