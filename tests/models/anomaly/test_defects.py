"""Synthetic defects: what they change, and that they fit into every image."""

import numpy as np
import pytest

from models.anomaly.defects import KINDS, make_defects

DICE = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("shape", "vocabulary"), [((1, 1, 1), 2), ((2, 3, 1), 17), ((16, 16, 1), 256), ((9, 30, 3), 64)]
)
def test_a_defect_changes_what_its_mask_marks(shape: tuple[int, int, int], vocabulary: int) -> None:
    images = DICE.integers(0, vocabulary, (12, *shape), dtype=np.uint8)
    made = make_defects(images, 36, vocabulary, seed=1)
    change = np.abs(made.images.astype(int) - images[made.origins]).max(-1)
    most = change.max((1, 2))
    np.testing.assert_array_equal(made.masks.any((1, 2)), most > 0)
    np.testing.assert_array_equal(made.masks, change > 0.1 * most[:, None, None])
    assert made.images.max() < vocabulary
    assert made.images.dtype == np.uint8
    assert made.kinds == tuple(KINDS) * 6


def test_defects_are_local_and_seeded() -> None:
    images = np.clip(DICE.normal(128, 30, (40, 32, 32, 1)), 0, 255).astype(np.uint8)
    made, again, other = (make_defects(images, 60, 256, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(made.images, again.images)
    assert (made.images != other.images).any()
    shares = made.masks.mean((1, 2))
    assert shares.min() > 0
    assert np.median(shares) < 0.2
    assert shares.max() < 0.8


def test_an_image_that_nothing_changes_stays_without_a_defect() -> None:
    flat = np.full((20, 4, 4, 1), 3, np.uint8)
    made = make_defects(flat, 6, 17, seed=0)
    blurred = made.kinds.index("blurred")
    assert not made.masks[blurred].any()
    assert made.masks[made.kinds.index("blob")].any()
