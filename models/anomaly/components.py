"""Connected parts of a mask, found by its runs of pixels. NumPy alone."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Places = NDArray[np.intp]


class Runs(NamedTuple):
    """Runs `[R]` of true pixels beside each other in a row of a mask, row by row.

    `ends` are one past the last pixel. Runs of one `part` are connected: the first run of a part
    gives it its number.
    """

    rows: Places
    starts: Places
    ends: Places
    parts: Places


def connect(mask: Mask) -> Runs:
    """Return the runs of a mask `[H, W]`, connected over all 8 neighbours of a pixel."""
    steps = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(steps == 1)
    _, ends = np.nonzero(steps == -1)
    # Pixels are counted through all rows, with room for an end, so that one search finds the runs
    # in the next row that touch a run: a whole range of them.
    stride = mask.shape[1] + 1
    below = (rows + 1) * stride
    first = np.searchsorted(rows * stride + ends, below + starts, side="left")
    last = np.searchsorted(rows * stride + starts, below + ends, side="right")
    counts = np.maximum(last - first, 0)
    upper = np.repeat(np.arange(len(rows)), counts)
    within = np.arange(len(upper)) - np.repeat(np.cumsum(counts) - counts, counts)
    return Runs(rows, starts, ends, _joined(len(rows), upper, np.repeat(first, counts) + within))


def _joined(count: int, one: Places, other: Places) -> Places:
    """Return, for each of `count` items, the first item that pairs of `one` and `other` connect it
    to.

    All that can be joined is joined at once (Shiloach & Vishkin, 1982), so that few rounds suffice.
    """
    first = np.arange(count)
    while True:
        low, high = np.minimum(first[one], first[other]), np.maximum(first[one], first[other])
        apart = low != high
        if not apart.any():
            return first
        one, other = one[apart], other[apart]
        np.minimum.at(first, high[apart], low[apart])
        while (further := first[first]).sum() < first.sum():
            first = further
