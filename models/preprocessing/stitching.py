"""Maps of tiles become one map of their picture, at the picture's own size."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.schema.preprocessing import PictureRule, Size

Map = NDArray[np.float32]


def stitch(maps: Sequence[Map] | Map, rule: PictureRule, size: Size) -> Map:
    """Return the map `[H, W]` of a photograph of `size`, upright, from those of its tiles
    `[N, h, w]`.

    Where tiles overlap, their mean counts, weighted so that a tile fades out toward its edges. The
    scaled map is resized to `size` by bilinear interpolation. Pixels that `crop` leaves out are 0.
    """
    scaled = rule.scaled(size)
    height, width = rule.tile
    window = np.outer(_fade(height), _fade(width))
    total, weight = np.zeros(scaled), np.zeros(scaled)
    for (y, x), one in zip(rule.origins(scaled), maps, strict=True):
        total[y : y + height, x : x + width] += window * one
        weight[y : y + height, x : x + width] += window
    whole = np.divide(total, weight, out=np.zeros(scaled), where=weight > 0).astype(np.float32)
    if scaled == size:
        return whole
    picture = Image.fromarray(whole).resize((size.width, size.height), Image.Resampling.BILINEAR)
    return np.asarray(picture, np.float32)


def _fade(side: int) -> NDArray[np.float64]:
    """Return weights `[side]` that fall linearly from the middle to the edges and stay positive."""
    place = np.arange(side)
    return np.minimum(place + 1, side - place).astype(np.float64)
