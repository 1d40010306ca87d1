"""Decoded pictures become levels of a rule's mode and size, and levels become tokens."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.schema.preprocessing import PictureRule, Size

Bytes = NDArray[np.uint8]
FILTERS = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_MOST_LEVEL = 255


def to_levels(image: Image.Image, rule: PictureRule) -> Bytes:
    """Return the levels `[H, W, C]`, 0 to 255, of an upright picture in the mode and size of
    `rule`. Raises PictureShapeError where it is too small or too large for it."""
    scaled = rule.scaled(Size(image.height, image.width))
    flat = in_mode(image, rule)
    if (flat.height, flat.width) != scaled:
        flat = flat.resize((scaled.width, scaled.height), FILTERS[rule.size.filter])
    levels = np.asarray(flat, np.uint8)
    return levels[..., None] if levels.ndim == 2 else levels


def in_mode(image: Image.Image, rule: PictureRule) -> Image.Image:
    """Return a picture on the ground of `rule`, in its mode."""
    if image.has_transparency_data:
        ground = Image.new("RGBA", image.size, (*rule.ground, _MOST_LEVEL))
        image = Image.alpha_composite(ground, image.convert("RGBA"))
    # Only from RGB does a palette become grey by the stated weights.
    colours = image if image.mode == "L" else image.convert("RGB")
    return colours.convert("L" if rule.mode == "grey" else "RGB")


def quantise(levels: Bytes, count: int) -> Bytes:
    """Return the nearest of `count` tokens to each level; token v stands for the level
    255 v / (count - 1)."""
    tokens = np.rint(np.arange(_MOST_LEVEL + 1) * (count - 1) / _MOST_LEVEL).astype(np.uint8)
    return tokens[levels]
