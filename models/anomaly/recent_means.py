"""Means of statistics over the latest images. Plain Python."""

from collections.abc import Mapping, Sequence

# Images over which a mean forgets: each one replaces this part of it.
_SPAN = 200
# A single strange image moves a mean by no more than this / _SPAN.
_FARTHEST = 5.0


class RecentMeans:
    """The mean of each of some standardised statistics, over all images at first and about the
    last 200 later. A value counts as 5 or -5 where it is farther from 0 than that."""

    def __init__(self, names: Sequence[str]) -> None:
        self.means = dict.fromkeys(names, 0.0)
        self._images = 0

    def add(self, values: Mapping[str, float]) -> None:
        """Count one image, which has a value for each name."""
        self._images += 1
        weight = 1 / min(self._images, _SPAN)
        for name, mean in self.means.items():
            value = max(-_FARTHEST, min(_FARTHEST, values[name]))
            self.means[name] = mean + weight * (value - mean)
