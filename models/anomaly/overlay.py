"""An image with its heat over it, in colour. Torch-free."""

import numpy as np
from PIL import Image

from models.anomaly.heatmap import LEVELS, Heatmap
from models.files.pictures import Bytes, encode_png, grey_levels
from models.schema.preprocessing import Size

OPACITY = 0.7


def overlay(tokens: Bytes, vocabulary: int, heat: Heatmap, size: Size) -> bytes:
    """Draw the heat of an image of tokens `[H, W, C]` over it, as an RGB PNG of `size`.

    From the heat that a heatmap draws black to the one that it draws white, the colour runs from
    yellow to red and its opacity from 0 to 0.7, both linearly.
    """
    share = heat.shares[..., None]
    colour = np.concatenate([np.ones_like(share), 1 - share, np.zeros_like(share)], axis=-1)
    levels = grey_levels(vocabulary)[tokens].astype(np.float64)
    mixed = levels + OPACITY * share * ((LEVELS - 1) * colour - levels)
    picture = Image.fromarray(np.rint(mixed).astype(np.uint8))
    if picture.size != (size.width, size.height):
        picture = picture.resize((size.width, size.height), Image.Resampling.BILINEAR)
    return encode_png(np.asarray(picture), LEVELS)
