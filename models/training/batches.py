"""Batches for training: each is determined by its step and the seed alone."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from models.files.images import Tokens
from models.schema.preprocessing import PictureRule

# torch's CPU generator reads 32 bits of a seed; this factor spreads different seeds over them.
EPOCH_STRIDE = 1_000_003


class Batches(Protocol):
    """A source of batches of pixel tokens."""

    def batch(self, step: int, size: int, seed: int) -> Tensor:
        """Return the batch of one step, at most `size` images `[rows, C, H, W]`, uint8."""
        ...


class ImageBatches:
    """Images of one size, in a new order in every epoch."""

    def __init__(self, images: Tokens, device: torch.device) -> None:
        self.images = first_channels(images, device)

    def batch(self, step: int, size: int, seed: int) -> Tensor:
        """Return the batch of one step; epoch e is shuffled by (seed, e)."""
        size = min(size, len(self.images))
        epoch, index = divmod(step, len(self.images) // size)
        shuffle = torch.Generator().manual_seed(seed * EPOCH_STRIDE + epoch)
        order = torch.randperm(len(self.images), generator=shuffle)
        chosen = order[index * size : (index + 1) * size]
        return self.images[chosen.to(self.images.device)]


class CropBatches:
    """Tiles at random places of scaled pictures, which may differ in size.

    Every place of every picture is as likely as any other. A tile may lie up to `shift` pixels
    beyond the edges, whose pixels are repeated there. So even few pictures give many tiles.
    """

    def __init__(
        self, pictures: Sequence[Tokens], rule: PictureRule, shift: int, device: torch.device
    ) -> None:
        """Keep pictures `[H, W, C]`, uint8, each at least as large as a tile of `rule`."""
        self.tile = rule.tile
        self.pictures = [_widened(picture, shift, device) for picture in pictures]
        height, width = self.tile
        self.places = [
            (picture.shape[1] - height + 1) * (picture.shape[2] - width + 1)
            for picture in self.pictures
        ]

    def batch(self, step: int, size: int, seed: int) -> Tensor:
        """Return the batch of one step; its places are drawn by (seed, step)."""
        dice = np.random.Generator(np.random.PCG64([seed, step]))
        ends = np.cumsum(self.places)
        places = dice.integers(0, ends[-1], size)
        which = np.searchsorted(ends, places, side="right")
        return torch.stack(
            [
                self._crop(index, int(ends[index] - place - 1))
                for index, place in zip(which, places, strict=True)
            ]
        )

    def _crop(self, index: int, place: int) -> Tensor:
        picture, (height, width) = self.pictures[index], self.tile
        y, x = divmod(place, picture.shape[2] - width + 1)
        return picture[:, y : y + height, x : x + width]


def first_channels(images: Tokens, device: torch.device) -> Tensor:
    """Return images `[N, H, W, C]` as a tensor `[N, C, H, W]` on a device."""
    return torch.tensor(images, device=device).permute(0, 3, 1, 2).contiguous()


def _widened(picture: Tokens, shift: int, device: torch.device) -> Tensor:
    """Return a picture `[C, H + 2 shift, W + 2 shift]`, its edges repeated."""
    one = first_channels(picture[None], device)[0]
    if not shift:
        return one
    wide: Tensor = pad(one.float(), (shift,) * 4, mode="replicate")
    return wide.to(torch.uint8)
