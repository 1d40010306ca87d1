"""Noise of a row as a pure function of (seed, number, stream, use), the same on any device.

The generator is Philox 4x32-10 (Salmon et al., SC 2011), vectorised over rows. Two draws that
differ in any of the four never share a counter, so rows share no random numbers.
"""

import math
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.rows.philox import WORD, philox, philox_on_host
from models.rows.rows import NoiseKey


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
    FLIP = 8


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
    rows = len(key.seed)
    words = [one.law.words(one.size) for one in wanted]
    blocks = [-(-count // 4) for count in words]
    generate = _on_host if key.seed.device.type == "cpu" else _on_device
    drawn = torch.split(generate(key, wanted, blocks), blocks, dim=1)
    return [
        one.law.values(part.flatten(1)[:, :count], one.size).reshape(rows, *one.shape)
        for one, count, part in zip(wanted, words, drawn, strict=True)
    ]


def _on_device(key: NoiseKey, wanted: Sequence[Draw], blocks: Sequence[int]) -> Tensor:
    """Return so many blocks for each draw, `[rows, all blocks, 4]`. A block's counter is its place
    in the draw, the use, the row's number and the stream."""
    rows, device = len(key.seed), key.seed.device
    counter = torch.empty(4, rows, sum(blocks), dtype=torch.int64, device=device)
    counter[2] = key.number[:, None]
    for one, part in zip(wanted, torch.split(counter, list(blocks), dim=2), strict=True):
        part[0] = torch.arange(part.shape[2], device=device)
        part[1] = one.use[:, None] if isinstance(one.use, Tensor) else one.use
        part[3] = int(one.stream)
    halves = torch.stack([key.seed & WORD, (key.seed >> 32) & WORD])
    return philox(counter, halves[..., None]).movedim(0, -1)


def _on_host(key: NoiseKey, wanted: Sequence[Draw], blocks: Sequence[int]) -> Tensor:
    """Return what `_on_device` returns, by NumPy."""
    seed, number = (column.numpy().view(np.uint64) for column in key)
    counter = np.empty((4, len(seed), sum(blocks)), np.uint64)
    counter[2] = number[:, None]
    first = 0
    for one, count in zip(wanted, blocks, strict=True):
        part = counter[:, :, first : first + count]
        part[0] = np.arange(count)
        part[1] = one.use.numpy()[:, None] if isinstance(one.use, Tensor) else one.use
        part[3] = int(one.stream)
        first += count
    halves = np.stack([seed & np.uint64(WORD), seed >> np.uint64(32)])
    words = philox_on_host(counter, halves[..., None])
    return torch.from_numpy(words.view(np.int64)).movedim(0, -1)


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
