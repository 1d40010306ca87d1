"""Tiles, or maps of them, become one picture again."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.preprocessing.levels import Bytes
from models.schema.preprocessing import PictureRule, Size

Map = NDArray[np.float32]


def stitch(
    maps: Sequence[NDArray[np.floating]] | NDArray[np.floating],
    rule: PictureRule,
    scaled: Size,
    outside: float = 0.0,
) -> Map:
    """Return the map `[H, W]` of a picture of size `scaled` from those of its tiles `[N, h, w]`.

    Where tiles overlap, their mean counts, weighted so that a tile fades out toward its edges.
    Pixels that `crop` leaves out are `outside`.
    """
    height, width = rule.tile
    window = np.outer(_fade(height), _fade(width))
    total, weight = np.zeros(scaled), np.zeros(scaled)
    for (y, x), one in zip(rule.origins(scaled), maps, strict=True):
        total[y : y + height, x : x + width] += window * one
        weight[y : y + height, x : x + width] += window
    whole: Map = np.full(scaled, outside, np.float32)
    covered = weight > 0
    whole[covered] = total[covered] / weight[covered]
    return whole


def enlarge(whole: Map, size: Size) -> Map:
    """Return a picture's map `[H, W]` resized to the picture's own size, bilinearly."""
    if whole.shape == size:
        return whole
    picture = Image.fromarray(whole).resize((size.width, size.height), Image.Resampling.BILINEAR)
    return np.asarray(picture, np.float32)


def paste(tiles: Bytes, rule: PictureRule, scaled: Size) -> Bytes:
    """Return the scaled picture `[H, W, C]` that `tiles` `[N, h, w, C]` were cut from.

    Pixels that `crop` leaves out are 0.
    """
    height, width = rule.tile
    whole = np.zeros((*scaled, rule.channels), np.uint8)
    for (y, x), tile in zip(rule.origins(scaled), tiles, strict=True):
        whole[y : y + height, x : x + width] = tile
    return whole


def _fade(side: int) -> NDArray[np.float64]:
    """Return weights `[side]` that fall linearly from the middle to the edges and stay positive."""
    place = np.arange(side)
    return np.minimum(place + 1, side - place).astype(np.float64)
