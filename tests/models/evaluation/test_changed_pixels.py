"""The measure of heatmaps by images with one changed pixel."""

import numpy as np

from models.anomaly.heatmap import Heatmap
from models.evaluation.anomalies.changed_pixels import change_pixels, find_pixels

IMAGES = np.random.default_rng(0).integers(0, 17, (40, 6, 9, 2)).astype(np.uint8)


def heat(change: np.ndarray) -> Heatmap:
    """Return the heat of something that sees the change itself."""
    return Heatmap(change.astype(np.float64), 0.0, 1.0)


def test_one_pixel_of_each_image_goes_to_the_further_end() -> None:
    changed, places = change_pixels(IMAGES, 17, seed=3)
    differs = changed != IMAGES
    assert (differs.any(-1).sum((1, 2)) == 1).all()
    for image, before, (y, x) in zip(changed, IMAGES, places, strict=True):
        assert (image[y, x] == np.where(before[y, x] < 8.5, 16, 0)).all()
    assert len(np.unique(places, axis=0)) > 20
    assert IMAGES.flags.writeable
    np.testing.assert_array_equal(changed, change_pixels(IMAGES, 17, seed=3).images)


def test_the_maximum_is_sought_at_the_pixel_and_around_it() -> None:
    changed = change_pixels(IMAGES, 17, seed=3)
    at = (changed.images != IMAGES).any(-1)
    exact = find_pixels(changed, [heat(one) for one in at])
    assert (exact.images, exact.found, exact.near) == (40, 40, 40)
    beside = find_pixels(changed, [heat(np.roll(one, 1, axis=1)) for one in at])
    inner = int((changed.places[:, 1] < 8).sum())
    assert (beside.found, beside.near) == (0, inner)
    away = find_pixels(changed, [heat(np.roll(one, 4, axis=1)) for one in at[:-1]] + [None])
    assert (away.images, away.found, away.near) == (40, 0, 0)
