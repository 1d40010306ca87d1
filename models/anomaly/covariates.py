"""Covariates of an image that cost little, and the regression of other statistics on them.

Statistics of a good image vary with its brightness and its contrast, often more than a defect
changes them. Each is therefore compared with what it usually is for such images. NumPy alone.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from models.anomaly.blur import blur
from models.anomaly.packed import Packed
from models.files.pictures import Bytes

Table = NDArray[np.float64]
# The strength of the shrinkage, as a share of the number of images.
RIDGE = 0.01
# Added to standard deviations before their logarithm, in tokens.
FLAT = 1.0


def brightness(images: Bytes, vocabulary: int) -> Table:
    """Return `images` `[N, H, W, C]` as numbers from 0 to 1."""
    return images.astype(np.float64) / (vocabulary - 1)


def covariates(images: Bytes, vocabulary: int) -> Table:
    """Return mean, log contrast and log gradient of `images` `[N, H, W, C]`, `[N, 3]`."""
    values, flat = brightness(images, vocabulary), FLAT / vocabulary
    across = (np.square(np.diff(values, axis=axis)).sum((1, 2, 3)) for axis in (1, 2))
    gradient = np.sqrt(sum(across, np.zeros(len(images))) / values[0].size)
    columns = values.mean((1, 2, 3)), values.std((1, 2, 3)) + flat, gradient + flat
    return np.stack([columns[0], np.log(columns[1]), np.log(columns[2])], axis=1)


def around(images: Bytes, vocabulary: int, reach: float | None) -> Table:
    """Return mean, log contrast and log gradient around each pixel of `images` `[N, H, W, C]`, `[N,
    H, W, 3]`; those of the whole image, `[N, 1, 1, 3]`, where `reach` is None.

    The surroundings are weighted by a Gaussian of `reach` pixels, so that what is missing or added
    in one place does not change what is expected in another.
    """
    if reach is None:
        return covariates(images, vocabulary)[:, None, None]
    grey, flat = brightness(images, vocabulary).mean(-1), FLAT / vocabulary
    mean = blur(grey, reach)
    contrast = np.sqrt(np.maximum(blur(np.square(grey), reach) - np.square(mean), 0))
    down, across = (_slope(grey, axis) for axis in (1, 2))
    gradient = np.sqrt(blur(np.square(down) + np.square(across), reach / 2))
    return np.stack([mean, np.log(contrast + flat), np.log(gradient + flat)], axis=-1)


def _slope(grey: Table, axis: int) -> Table:
    """Return central differences of `grey`, or zeros along an axis of a single pixel."""
    if grey.shape[axis] == 1:
        return np.zeros_like(grey)
    slope: Table = np.gradient(grey, axis=axis)
    return slope


class Regression(BaseModel):
    """Least squares of statistics on the covariates, their squares and products, shrunk by a
    ridge."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    centre: Packed
    scale: Packed
    weights: Packed

    @classmethod
    def fit(cls, given: Table, statistics: Table) -> "Regression":
        """Fit `statistics` `[N, S]` on covariates `given` `[N, Q]` of good images or pixels."""
        centre, scale = given.mean(0), np.maximum(given.std(0), 1e-6)
        columns = _columns((given - centre) / scale)
        shrinkage = RIDGE * len(given) * np.eye(columns.shape[1])
        shrinkage[0, 0] = 0
        weights = np.linalg.solve(columns.T @ columns + shrinkage, columns.T @ statistics)
        return cls(centre=Packed.of(centre), scale=Packed.of(scale), weights=Packed.of(weights))

    def expected(self, given: Table) -> Table:
        """Return what is usual at covariates `given` `[..., Q]`, `[..., S]`."""
        standard = (given - self.centre.array) / self.scale.array
        expected: Table = _columns(standard) @ self.weights.array
        return expected


def _columns(standard: Table) -> Table:
    one = np.ones((*standard.shape[:-1], 1))
    first, second = np.triu_indices(standard.shape[-1])
    squares = standard[..., first] * standard[..., second]
    return np.concatenate([one, standard, squares], axis=-1)
