"""A checkpoint's own images, found again."""

from pathlib import Path

import numpy as np
import pytest

from models.data import divide, load_labels, load_tokens
from models.errors import DataError
from models.evaluation.parts import RecordedData, subset
from models.manifest import Manifest, Part, read_manifest


@pytest.fixture(scope="session")
def manifest(small_checkpoint: Path) -> Manifest:
    return read_manifest(small_checkpoint)


@pytest.mark.parametrize("part", ["train", "density", "calibration", "test"])
def test_images_and_labels_of_a_part_belong_together(manifest: Manifest, part: Part) -> None:
    found = RecordedData(manifest)
    sizes: dict[Part, int] = {"train": 1000, "density": 40, "calibration": 40, "test": 300}
    indices = divide(1797, sizes, 0)[part]
    np.testing.assert_array_equal(found.images(part), load_tokens("digits", 17)[indices])
    np.testing.assert_array_equal(found.labels(part), load_labels("digits")[indices])


def test_other_images_are_refused(manifest: Manifest, tmp_path: Path) -> None:
    images = load_tokens("digits").copy()
    images[0, 0, 0] ^= 1
    np.save(tmp_path / "others.npy", images)
    with pytest.raises(DataError, match="not the data that the checkpoint records"):
        RecordedData(manifest, str(tmp_path / "others.npy")).images("test")


def test_what_was_not_recorded(manifest: Manifest) -> None:
    with pytest.raises(DataError, match="small records no test images"):
        RecordedData(manifest.model_copy(update={"data": None})).images("test")


def test_a_subset_is_always_the_same() -> None:
    images = np.arange(100, dtype=np.uint8).reshape(100, 1, 1, 1)
    few, again = subset(images, 10), subset(images, 10)
    np.testing.assert_array_equal(few, again)
    assert len(np.unique(few)) == 10
    assert subset(images, 100) is subset(images, None) is images
