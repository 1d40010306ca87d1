"""Photographs as cameras and programs write them."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.schema.preprocessing import PictureRule

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")


def scene(height: int = 40, width: int = 60, seed: int = 0) -> NDArray[np.uint8]:
    """A smooth coloured picture `[H, W, 3]`, unlike in all corners."""
    y, x = np.mgrid[:height, :width]
    phase = np.random.default_rng(seed).random(3) / 10
    planes = [255 * y / height, 255 * x / width, 127 * (1 + np.sin(x / 9 + phase[0]))]
    return np.stack(planes, axis=-1).astype(np.uint8)


def encode(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """An encoded picture, lossless where the format can be."""
    if form == "WEBP":
        options = {"lossless": True} | options
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def photograph(form: str = "PNG", seed: int = 0, **options: Any) -> bytes:
    """The scene in a format."""
    return encode(Image.fromarray(scene(seed=seed)), form, **options)


def turned(orientation: int, form: str = "JPEG") -> bytes:
    """The scene, stored so that `orientation` says how to turn it upright."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    back = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    image = Image.fromarray(scene())
    return encode(image if back is None else image.transpose(back), form, exif=exif)


def rule(**settings: Any) -> PictureRule:
    """Tiles of 16 by 16 from pictures at half size."""
    given = {
        "mode": "rgb",
        "size": {"rule": "scale", "factor": 0.5},
        "tile": (16, 16),
        "stride": (16, 16),
    }
    return PictureRule.model_validate(given | settings)
