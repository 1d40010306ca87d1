"""The overlap of maps with marked defects (AU-PRO; Bergmann et al., CVPR 2020)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Maps = NDArray[np.float64]
Mask = NDArray[np.bool_]
# The false-alarm rate of pixels up to which the area is taken, and the points on the way.
LIMIT, POINTS = 0.3, 201
_TOUCHING = np.ones((3, 3))


class Overlaps:
    """The pixels of pictures' maps: those of good ground, and of each connected region of a defect.

    Regions of one picture stay together when pictures are drawn anew.
    """

    def __init__(self, maps: Sequence[Maps], masks: Sequence[Mask]) -> None:
        ground = [one[~mask] for one, mask in zip(maps, masks, strict=True)]
        self.thresholds = np.quantile(np.concatenate(ground), 1 - np.linspace(0, LIMIT, POINTS))
        self._curves = [
            np.array(
                [
                    (1 - np.searchsorted(np.sort(one[labels == region]), self.thresholds) / size)
                    for region, size in enumerate(np.bincount(labels.ravel())[1:], start=1)
                ]
            ).reshape(-1, POINTS)
            for one, labels in zip(maps, map(_regions, masks), strict=True)
        ]

    def area(self, pictures: NDArray[np.int64] | None = None) -> float:
        """Return the area under the mean overlap of all regions, over false alarms up to `LIMIT`,
        divided by `LIMIT`; of `pictures` `[n]` alone, by their places, if given."""
        chosen = self._curves if pictures is None else [self._curves[one] for one in pictures]
        curve = np.concatenate(chosen).mean(0)
        return float(np.trapezoid(curve, dx=1 / (POINTS - 1)))


def _regions(mask: Mask) -> NDArray[np.int64]:
    labels, _ = ndimage.label(mask, _TOUCHING)
    found: NDArray[np.int64] = labels
    return found
