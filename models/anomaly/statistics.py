"""The statistics of an image by name: what its solve told, and what a lossless coder makes of it.

Torch-free; `docs/anomalies.md` says what each is.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.files.pictures import Bytes, coded_bits

Table = NDArray[np.float64]
CODEC: dict[str, Any] = {"format": "WEBP", "lossless": True, "quality": 100, "method": 4}

# Sizes, which are spread by factors rather than by differences.
_SIZES = ("normality", "spectrum", "path_rate", "path_curvature", "denoising")
_SMALLEST = 1e-12
TYPICALITY = "typicality"

# Octaves of spatial frequency; quarters of the way.
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
    """`values` of one reading, and the complexity of its image `[H, W, C]`: the coder's bits, and
    by how many the model's own code is longer."""
    bits = float(coded_bits(image, CODEC))
    excess = -values["log_px_given_z"] / math.log(2) - bits
    return {**values, "codec_bits": bits, "excess_bits": excess}


def table(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> Table:
    """`[rows, names]`, sizes as logarithms: what a density is fitted on."""
    columns = [np.array([row[name] for row in rows], np.float64) for name in names]
    return np.stack(
        [
            np.log(np.maximum(column, _SMALLEST)) if name.startswith(_SIZES) else column
            for name, column in zip(names, columns, strict=True)
        ],
        axis=1,
    )


def codec_fingerprint(shape: tuple[int, int, int], vocabulary: int) -> tuple[int, ...]:
    """The coder's bits of fixed pictures of that shape: another build of it that codes them alike
    does for this purpose."""
    height, width, _ = shape
    y, x, c = np.meshgrid(*map(np.arange, shape), indexing="ij")
    pictures = (
        np.zeros(shape),
        (y + x) * (vocabulary - 1) / max(1, height + width - 2),
        (7 * y * y + 11 * x * y + 13 * x + 5 * c) % vocabulary,
    )
    return tuple(coded_bits(picture.astype(np.uint8), CODEC) for picture in pictures)
