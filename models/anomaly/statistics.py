"""The statistics of an image by name, from its ODE solve and from a lossless image coder.

Torch-free. `docs/anomalies.md` describes each of them.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.files.pictures import Bytes, coded_bits

Table = NDArray[np.float64]
CODEC: dict[str, Any] = {"format": "WEBP", "lossless": True, "quality": 100, "method": 4}

# Positive magnitudes that vary by factors, so that their logarithms are fitted.
_SIZES = ("normality", "spectrum", "path_rate", "path_curvature", "denoising")
_SMALLEST = 1e-12
TYPICALITY = "typicality"

# Statistics in four parts: octaves of spatial frequency, or quarters of the path.
_PARTED = ("spectrum", "path_rate", "path_curvature", "denoising")
FITTED = (
    "log_px_given_z",
    "log_prior",
    "log_det",
    "latent_mass",
    "normality",
    *(f"{name}_{part}" for name in _PARTED for part in range(1, 5)),
    "codec_bits",
    "excess_bits",
)


def with_codec(values: Mapping[str, float], image: Bytes) -> dict[str, float]:
    """Add the complexity of the image `[H, W, C]` to `values` of its reading.

    It is the coder's length in bits, and the excess of the model's own code length over it.
    """
    bits = float(coded_bits(image, CODEC))
    excess = -values["log_px_given_z"] / math.log(2) - bits
    return {**values, "codec_bits": bits, "excess_bits": excess}


def table(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> Table:
    """Return the statistics that a density is fitted on, `[rows, names]`, magnitudes as
    logarithms."""
    columns = [np.array([row[name] for row in rows], np.float64) for name in names]
    return np.stack(
        [
            np.log(np.maximum(column, _SMALLEST)) if name.startswith(_SIZES) else column
            for name, column in zip(names, columns, strict=True)
        ],
        axis=1,
    )


def codec_fingerprint(shape: tuple[int, int, int], vocabulary: int) -> tuple[int, ...]:
    """Return the coder's bits for fixed pictures of that shape.

    Another build of the coder that codes them to the same lengths counts as the same coder.
    """
    height, width, _ = shape
    y, x, c = np.meshgrid(*map(np.arange, shape), indexing="ij")
    pictures = (
        np.zeros(shape),
        (y + x) * (vocabulary - 1) / max(1, height + width - 2),
        (7 * y * y + 11 * x * y + 13 * x + 5 * c) % vocabulary,
    )
    return tuple(coded_bits(picture.astype(np.uint8), CODEC) for picture in pictures)
