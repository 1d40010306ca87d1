"""A photograph's bytes become tiles of tokens: the one way from a picture to a model's images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from models.preprocessing.decode import MOST_PIXELS, decode, read_header
from models.preprocessing.levels import Bytes, quantise, to_levels
from models.schema.preprocessing import PictureRule, Size


class Picture(NamedTuple):
    """The size of a photograph, upright, and its scaled pixels as tokens `[H, W, C]`, uncut."""

    size: Size
    tokens: Bytes


@dataclass(frozen=True, slots=True)
class Tiling:
    """The photographs that the rows of a job were cut from: the rule, and the size of each
    photograph, upright, in the order of the rows."""

    rule: PictureRule
    sizes: tuple[Size, ...]

    @property
    def counts(self) -> list[int]:
        """Number of tiles of each photograph."""
        return [self.rule.tiles(size) for size in self.sizes]

    def slices(self) -> list[slice]:
        """Return the rows of each photograph."""
        ends = np.cumsum(self.counts).tolist()
        return [slice(end - count, end) for end, count in zip(ends, self.counts, strict=True)]


def read_picture(content: bytes, rule: PictureRule, max_pixels: int = MOST_PIXELS) -> Picture:
    """Return a photograph's tokens, scaled and uncut. Raises PictureError."""
    image = decode(content, max_pixels)
    tokens = quantise(to_levels(image, rule), rule.levels)
    return Picture(Size(image.height, image.width), tokens)


def cut(tokens: Bytes, rule: PictureRule) -> Bytes:
    """Return the tiles `[N, H, W, C]` of a scaled picture `[H, W, C]`, row by row."""
    height, width = rule.tile
    origins = rule.origins(Size(*tokens.shape[:2]))
    return np.stack([tokens[y : y + height, x : x + width] for y, x in origins])


def cut_all(pictures: Sequence[Picture], rule: PictureRule) -> tuple[Bytes, Tiling]:
    """Return the tiles of all pictures, one picture after another, and what they were cut from."""
    tiles = [cut(picture.tokens, rule) for picture in pictures]
    empty = np.empty((0, *rule.image_shape), np.uint8)
    return np.concatenate([empty, *tiles]), Tiling(rule, tuple(one.size for one in pictures))


def count_tiles(content: bytes, rule: PictureRule, max_pixels: int = MOST_PIXELS) -> int:
    """Return the number of tiles of a photograph, by its header. Raises PictureError."""
    return rule.tiles(read_header(content, max_pixels).size)
