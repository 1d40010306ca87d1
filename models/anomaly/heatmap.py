"""The contribution map as a picture. Torch-free."""

import numpy as np
from numpy.typing import NDArray

from models.files.pictures import encode_png

LEVELS = 256


def heatmap_png(contribution: NDArray[np.float32]) -> bytes:
    """Draw `contribution` `[H, W, C]`, summed over channels, as a grey PNG.

    Black is no contribution to the bound, white the largest.
    """
    total = contribution.astype(np.float64).sum(axis=-1, keepdims=True)
    levels = np.rint((LEVELS - 1) * total / max(total.max(), np.finfo(np.float64).tiny))
    return encode_png(levels.astype(np.uint8), LEVELS)
