"""The contribution map as a picture. Torch-free."""

import numpy as np
from numpy.typing import NDArray

from models.files.pictures import encode_png

LEVELS = 256


def heatmap_png(contribution: NDArray[np.float32]) -> bytes:
    """A grey PNG of what each pixel of `contribution` `[H, W, C]` adds to the bound, over channels;
    black for nothing, white for the most."""
    total = contribution.astype(np.float64).sum(axis=-1, keepdims=True)
    levels = np.rint((LEVELS - 1) * total / max(total.max(), np.finfo(np.float64).tiny))
    return encode_png(levels.astype(np.uint8), LEVELS)
