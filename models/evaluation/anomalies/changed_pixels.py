"""The measure of heatmaps by images with one changed pixel."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from models.anomaly.heatmap import Heatmap
from models.evaluation.measurement import EvaluationRecord
from models.files.images import Tokens


class Changed(NamedTuple):
    """Images `[N, H, W, C]` with one changed pixel each, and its row and column, `[N, 2]`."""

    images: Tokens
    places: NDArray[np.int64]


class FoundPixels(EvaluationRecord):
    """The number of images with one changed pixel, and of those whose heatmap shows it."""

    images: int
    found: int = Field(description="Heatmaps whose maximum is at the changed pixel.")
    near: int = Field(description="Heatmaps whose maximum is there or at one of its 8 neighbours.")


def change_pixels(images: Tokens, vocabulary: int, seed: int) -> Changed:
    """Set one pixel of each of `images` `[N, H, W, C]`, at a random place, to the darkest or the
    brightest level, whichever is further from its own."""
    dice = np.random.Generator(np.random.PCG64(seed))
    places = dice.integers(0, images.shape[1:3], (len(images), 2))
    changed, all_of = images.copy(), np.arange(len(images))
    own = images[all_of, *places.T]
    levels = np.where(own < vocabulary / 2, vocabulary - 1, 0)
    changed[all_of, *places.T] = levels.astype(np.uint8)
    return Changed(changed, places)


def find_pixels(changed: Changed, heatmaps: Sequence[Heatmap | None]) -> FoundPixels:
    """Compare the place of each heatmap's maximum with that of the changed pixel.

    An image that failed has no heatmap and counts as not found.
    """
    away = np.array(
        [
            np.inf if heat is None else np.abs(_hottest(heat) - place).max()
            for heat, place in zip(heatmaps, changed.places, strict=True)
        ]
    )
    return FoundPixels(images=len(away), found=int((away == 0).sum()), near=int((away <= 1).sum()))


def _hottest(heat: Heatmap) -> NDArray[np.int64]:
    return np.array(np.unravel_index(heat.values.argmax(), heat.values.shape))
