"""A checkpoint's own images, found again."""

from pathlib import Path

import numpy as np
import pytest

from models.evaluation.recorded_data import RecordedData, subset
from models.files.images import digest, divide, fingerprint, load_labels, load_tokens
from models.schema.errors import DataError
from models.schema.manifest import DataPart, Manifest, read_manifest


@pytest.fixture(scope="session")
def manifest(small_checkpoint: Path) -> Manifest:
    return read_manifest(small_checkpoint)


@pytest.mark.parametrize("part", ["train", "density", "calibration", "test"])
def test_images_and_labels_of_a_part_belong_together(manifest: Manifest, part: DataPart) -> None:
    found = RecordedData(manifest)
    sizes: dict[DataPart, int] = {"train": 1000, "density": 40, "calibration": 40, "test": 300}
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


@pytest.fixture
def filed(manifest: Manifest, tmp_path: Path) -> Manifest:
    """The manifest of a checkpoint that records two files, which lie in `tmp_path`."""
    images = load_tokens("digits", 17)
    for name in "divided.npy", "tests.npy":
        np.save(tmp_path / name, images)
    assert manifest.data is not None
    split = manifest.data.split | {"test": fingerprint(np.arange(len(images)))}
    record = {"source": "divided.npy", "test_source": "tests.npy", "test_sha256": digest(images)}
    data = manifest.data.model_copy(update=record | {"split": split})
    return manifest.model_copy(update={"data": data})


@pytest.mark.parametrize(
    ("data", "test_data"),
    [("", None), ("", ""), ("divided.npy", "tests.npy"), (None, "tests.npy"), (None, "")],
)
def test_where_separate_test_images_may_lie(
    filed: Manifest, tmp_path: Path, data: str | None, test_data: str | None
) -> None:
    """Each under its own path, or in a folder under its recorded name."""
    places = (None if name is None else str(tmp_path / name) for name in (data, test_data))
    assert len(RecordedData(filed, *places).images("test")) == 1797


def test_what_is_given_is_taken_before_what_the_folder_holds(
    filed: Manifest, tmp_path: Path
) -> None:
    np.save(tmp_path / "others.npy", np.zeros((2, 8, 8, 1), np.uint8))
    recorded = RecordedData(filed, str(tmp_path), str(tmp_path / "others.npy"))
    with pytest.raises(DataError, match=r"others\.npy is not the data"):
        recorded.images("test")


def test_who_gives_the_wrong_option_is_told_the_right_one(filed: Manifest, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^tests\.npy not found: .* --test-data"):
        RecordedData(filed, str(tmp_path / "tests.npy")).images("test")
    with pytest.raises(DataError, match=r"^divided\.npy not found: .* --data"):
        RecordedData(filed, None, str(tmp_path)).images("train")
