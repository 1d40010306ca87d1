"""Regions of an image that are hotter than good pixels, and their p-values. NumPy alone."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

from models.anomaly.components import connect
from models.anomaly.conformal import FAILED, p_value
from models.schema.preprocessing import Size

Map = NDArray[np.float64]
# Regions of fewer pixels of the map are left out, and all after the hottest so many.
SMALLEST, MOST = 3, 20


class Region(NamedTuple):
    """The box around a region, in pixels from the top left, the number of the region's own pixels,
    and its largest heat."""

    x: int
    y: int
    width: int
    height: int
    area: int
    peak: float

    def enlarged(self, scaled: Size, size: Size) -> "Region":
        """Return the region in a picture of `size`, given that in its map of size `scaled`.

        The box is rounded outward to whole pixels.
        """
        left, top = self.x * size.width // scaled.width, self.y * size.height // scaled.height
        right = -(-(self.x + self.width) * size.width // scaled.width)
        bottom = -(-(self.y + self.height) * size.height // scaled.height)
        area = self.area * size.width * size.height / (scaled.width * scaled.height)
        return Region(left, top, right - left, bottom - top, max(1, round(area)), self.peak)


def find_regions(heat: Map, black: float, white: float) -> list[Region]:
    """Return the connected regions of a map `[H, W]` above `white`, the hottest first: at most
    `MOST`, of at least `SMALLEST` pixels each.

    A large defect makes half of an image hot. Of a connected area only what is above the middle
    between `black` and the area's peak is therefore taken, which may be several regions.
    """
    hot = heat > white
    if not hot.any():
        return []
    rows, starts, ends, parts = connect(hot)
    area_peaks = np.full(len(rows), white)
    np.maximum.at(area_peaks, parts, _hottest(heat[hot], ends - starts))
    hot[hot] = heat[hot] > (black + np.repeat(area_peaks[parts], ends - starts)) / 2
    rows, starts, ends, parts = connect(hot)
    lengths = ends - starts
    hottest = _hottest(heat[hot], lengths)
    order = np.argsort(parts, kind="stable")
    firsts = np.flatnonzero(np.diff(parts[order], prepend=-1))

    def over(reduce: np.ufunc, values: NDArray[Any]) -> NDArray[Any]:
        """Reduce values of runs to one value of each region."""
        found: NDArray[Any] = reduce.reduceat(values[order], firsts)
        return found

    left, top = over(np.minimum, starts), over(np.minimum, rows)
    width, height = over(np.maximum, ends) - left, over(np.maximum, rows) + 1 - top
    area, peak = over(np.add, lengths), over(np.maximum, hottest)
    kept = np.flatnonzero(area >= SMALLEST)
    kept = kept[np.argsort(-peak[kept], kind="stable")][:MOST]
    columns = [column[kept].tolist() for column in (left, top, width, height, area, peak)]
    return [Region(*row) for row in zip(*columns, strict=True)]


def _hottest(heat: Map, lengths: NDArray[np.intp]) -> Map:
    """Return the largest heat of each run of pixels, given that of all their pixels in a row."""
    found: Map = np.maximum.reduceat(heat, np.cumsum(lengths) - lengths)
    return found


class Peaks(BaseModel):
    """The largest heat of each calibration image, or photograph, by which regions are ranked.

    Of good images at most the share alpha has a region whose p-value is alpha or less: an image's
    lowest is the rank of its own largest heat. That holds whatever the threshold of regions is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    failed: NonNegativeInt = Field(description="Number of images without heat.")
    values: tuple[float, ...] = Field(description="Those of the others, ascending.")

    @model_validator(mode="after")
    def _is_ordered(self) -> "Peaks":
        if list(self.values) != sorted(self.values):
            raise ValueError("peaks must be in ascending order")
        return self

    @classmethod
    def of(cls, peaks: Sequence[float]) -> "Peaks":
        """Return the reference from the largest heat of each image, not finite for want of one."""
        finite = [peak for peak in peaks if np.isfinite(peak)]
        return cls(failed=len(peaks) - len(finite), values=tuple(sorted(finite)))

    def p_values(self, regions: Sequence[Region]) -> list[float]:
        """Return the rank of each region's peak. An image without heat ranks above every other."""
        reference = np.array([*self.values, *[FAILED] * self.failed], np.float64)
        return [p_value(region.peak, reference) for region in regions]
