"""Damage, and what it leaves."""

import numpy as np
import pytest

from models.evaluation.anomalies.corruptions import CORRUPTIONS, corrupt

IMAGES = np.random.default_rng(0).integers(0, 17, (12, 8, 8, 1), dtype=np.uint8)
WIDE = np.random.default_rng(1).integers(0, 256, (5, 6, 10, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize(("images", "vocabulary"), [(IMAGES, 17), (WIDE, 256)])
def test_every_corruption_changes_images_into_others_of_their_kind(
    name: str, images: np.ndarray, vocabulary: int
) -> None:
    before = images.copy()
    found = corrupt(name, images, vocabulary, seed=3)
    assert (found.shape, found.dtype) == (images.shape, np.uint8)
    assert found.max() < vocabulary
    assert (found != images).reshape(len(images), -1).any(axis=1).all()
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(found, corrupt(name, images, vocabulary, seed=3))


def test_what_each_does() -> None:
    np.testing.assert_array_equal(corrupt("inverted", IMAGES, 17, 0), 16 - IMAGES)
    rotated = corrupt("rotated", IMAGES, 17, 0)
    np.testing.assert_array_equal(rotated[:, :, 0], IMAGES[:, 0, ::-1])
    half = corrupt("half-erased", IMAGES, 17, 0)
    assert not half[:, :, 4:].any()
    np.testing.assert_array_equal(half[:, :, :4], IMAGES[:, :, :4])
    shuffled = corrupt("shuffled-patches", IMAGES, 17, 0)
    assert [sorted(image.ravel()) for image in shuffled] == [
        sorted(image.ravel()) for image in IMAGES
    ]
    flat = np.full((1, 8, 8, 1), 7, np.uint8)
    np.testing.assert_array_equal(corrupt("blurred", flat, 17, 0), flat)
    struck = corrupt("salt-and-pepper", np.full((50, 8, 8, 1), 7, np.uint8), 17, 0)
    assert set(np.unique(struck)) == {0, 7, 16}
    assert (struck != 7).mean() == pytest.approx(0.1, abs=0.02)
    noise = corrupt("noise", IMAGES, 17, 0)
    assert set(np.unique(noise)) == set(range(17))
