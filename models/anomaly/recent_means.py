"""Means of statistics over the latest images. Plain Python."""

from collections.abc import Mapping, Sequence

# Images over which a mean forgets: each one replaces this part of it.
_SPAN = 200
# A single strange image moves a mean by no more than this / _SPAN.
_FARTHEST = 5.0


class RecentMeans:
    """The mean of each of some standardised statistics, over all images at first and about the
    last 200 later. An image is one or several tiles, whose values are averaged; a value counts as 5
    or -5 where it is farther from 0 than that."""

    def __init__(self, names: Sequence[str]) -> None:
        self.means = dict.fromkeys(names, 0.0)
        self._images = 0

    def add(self, tiles: Sequence[Mapping[str, float]]) -> None:
        """Count one image, whose tiles have a value for each name."""
        self._images += 1
        weight = 1 / min(self._images, _SPAN)
        for name, mean in self.means.items():
            values = [max(-_FARTHEST, min(_FARTHEST, tile[name])) for tile in tiles]
            self.means[name] = mean + weight * (sum(values) / len(values) - mean)
