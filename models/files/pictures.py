"""Tokens become PNGs and back: token v of V is drawn as the 8-bit level round(255 v / (V - 1)).

Torch-free.
"""

import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Bytes = NDArray[np.uint8]
TILE = 64
GAP = 2
GAP_LEVEL = 128


def grey_levels(vocabulary: int) -> Bytes:
    """Return the 8-bit level `[V]` of each token."""
    return np.rint(255 * np.arange(vocabulary) / (vocabulary - 1)).astype(np.uint8)


def to_tokens(levels: Bytes, vocabulary: int) -> tuple[Bytes, NDArray[np.bool_]]:
    """Return the nearest token at or above each level, and a mask of the levels that no token has.

    Both have the shape of `levels`.
    """
    grid = grey_levels(vocabulary)
    tokens = np.searchsorted(grid, levels).clip(max=vocabulary - 1)
    return tokens.astype(np.uint8), grid[tokens] != levels


def encode_png(image: Bytes, vocabulary: int) -> bytes:
    """Encode one image `[H, W, C]` of tokens as a PNG, grey for one channel and RGB for three."""
    return _write_png(grey_levels(vocabulary)[image])


def contact_sheet(images: Bytes, vocabulary: int) -> bytes:
    """Draw all images `[N, H, W, C]` in one PNG, left to right and top to bottom.

    Each is enlarged by a whole factor to about 64 pixels; mid-grey lines of two pixels part them.
    """
    count, height, width, channels = images.shape
    scale = max(1, TILE // max(height, width))
    tiles = grey_levels(vocabulary)[images].repeat(scale, axis=1).repeat(scale, axis=2)
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    step_y, step_x = height * scale + GAP, width * scale + GAP
    sheet = np.full((rows * step_y + GAP, columns * step_x + GAP, channels), GAP_LEVEL, np.uint8)
    for index, tile in enumerate(tiles):
        y, x = index // columns * step_y + GAP, index % columns * step_x + GAP
        sheet[y : y + height * scale, x : x + width * scale] = tile
    return _write_png(sheet)


def coded_bits(pixels: Bytes, options: dict[str, Any]) -> int:
    """Return the length in bits of `pixels` `[H, W, C]`, uint8, saved as one file with Pillow's
    `options`."""
    file = io.BytesIO()
    image = np.ascontiguousarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    Image.fromarray(image).save(file, **options)
    return 8 * file.getbuffer().nbytes


def _write_png(pixels: Bytes) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
    return file.getvalue()
