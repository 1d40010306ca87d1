"""Pixel tokens as pictures. Torch-free."""

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Levels = NDArray[np.uint8]
SHEET_SIDE = 512
GAP_LEVEL = 96


def grey_levels(vocabulary: int) -> Levels:
    """The 8-bit level `[V]` that a picture carries for each token: round(255 v / (V - 1))."""
    return np.rint(255 * np.arange(vocabulary) / (vocabulary - 1)).astype(np.uint8)


def encode_png(tokens: NDArray[np.uint8], vocabulary: int) -> bytes:
    """PNG of one image `[H, W, C]`: grey for one channel, RGB for three."""
    return _png(grey_levels(vocabulary)[tokens])


def contact_sheet(tokens: NDArray[np.uint8], vocabulary: int, columns: int | None = None) -> bytes:
    """PNG of images `[N, H, W, C]` side by side, magnified by whole pixels, a line between them."""
    count, height, width, channels = tokens.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    scale = max(1, SHEET_SIDE // (max(columns, rows) * max(height, width)))
    cells = grey_levels(vocabulary)[tokens].repeat(scale, axis=1).repeat(scale, axis=2)
    pitch_y, pitch_x = height * scale + 1, width * scale + 1
    sheet = np.full((rows * pitch_y + 1, columns * pitch_x + 1, channels), GAP_LEVEL, np.uint8)
    for index, cell in enumerate(cells):
        row, column = divmod(index, columns)
        top, left = row * pitch_y + 1, column * pitch_x + 1
        sheet[top : top + height * scale, left : left + width * scale] = cell
    return _png(sheet)


def _png(levels: Levels) -> bytes:
    picture = Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
