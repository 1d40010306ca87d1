"""Images by name and by path, what is refused, and how they are divided."""

import gzip
import hashlib
import os
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models.files.images import PARTS, digest, divide, fingerprint, load_labels, load_tokens
from models.files.pictures import grey_levels
from models.schema.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 6, 4), dtype=np.uint8)
IDX = struct.pack(">4I", 0x0803, 5, 6, 4) + IMAGES.tobytes()


def refusal(source, vocabulary=256):
    with pytest.raises(DataError) as caught:
        load_tokens(str(source), vocabulary)
    line = str(caught.value)
    assert "\n" not in line
    assert str(source) in line
    return line


def save(path, *, arrays=None, content=None, array=None):
    if content is not None:
        path.write_bytes(content)
    elif array is not None:
        np.save(path, array)
    else:
        np.savez(path, **arrays)
    return path


def png_folder(path, images, mode=None):
    path.mkdir()
    for index, image in enumerate(images):
        picture = Image.fromarray(image)
        (picture.convert(mode) if mode else picture).save(path / f"{index:03}.png")
    return path


def test_digits():
    tokens = load_tokens("digits", 17)
    assert tokens.shape == (1797, 8, 8, 1)
    assert tokens.dtype == np.uint8
    assert (tokens.min(), tokens.max()) == (0, 16)


@pytest.mark.parametrize("form", ["images-idx3-ubyte", "images.idx.gz", "i.npy", "i.npz", "png"])
def test_every_form_holds_the_same_images(tmp_path, form):
    path = tmp_path / form
    match form.rpartition(".")[2]:
        case "gz":
            save(path, content=gzip.compress(IDX))
        case "npy":
            save(path, array=IMAGES)
        case "npz":
            save(path, arrays={"images": IMAGES})
        case "png":
            png_folder(path, IMAGES)
        case _:
            save(path, content=IDX)
    np.testing.assert_array_equal(load_tokens(str(path)), IMAGES[..., None])


def test_labels_lie_beside_their_images(tmp_path):
    labels = bytes([3, 1, 4, 1, 5])
    content = struct.pack(">2I", 0x0801, 5) + labels
    save(tmp_path / "some-labels-idx1-ubyte.gz", content=gzip.compress(content))
    found = load_labels(str(tmp_path / "some-images-idx3-ubyte.gz"))
    assert found.dtype == np.int64
    assert found.tolist() == list(labels)
    assert np.bincount(load_labels("digits")).min() > 170


def test_labels_that_are_not_there(tmp_path):
    assert load_labels(str(tmp_path / "images.npy")) is None
    with pytest.raises(DataError, match="No such file"):
        load_labels(str(tmp_path / "a-images-idx3"))


def test_colour(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 6, 4, 3), dtype=np.uint8)
    for path in (save(tmp_path / "i.npy", array=images), png_folder(tmp_path / "png", images)):
        np.testing.assert_array_equal(load_tokens(str(path)), images)


@pytest.mark.parametrize("vocabulary", [2, 7, 17, 255])
def test_pictures_hold_levels_and_arrays_hold_tokens(tmp_path, vocabulary):
    tokens = IMAGES % vocabulary
    pictures = png_folder(tmp_path / "png", grey_levels(vocabulary)[tokens])
    array = save(tmp_path / "i.npy", array=tokens)
    for source in (pictures, array):
        np.testing.assert_array_equal(load_tokens(str(source), vocabulary), tokens[..., None])


def test_a_picture_off_the_grid_is_named(tmp_path):
    images = grey_levels(17)[IMAGES % 17]
    images[3, 2, 1] = 100
    folder = png_folder(tmp_path / "png", images)
    line = refusal(folder, 17)
    assert line == f"{folder / '003.png'}: pixel value 100 is not round(255 v / 16) for any token v"


def test_values_past_the_vocabulary(tmp_path):
    assert refusal(save(tmp_path / "i.npy", array=IMAGES % 18), 17).endswith(
        "value 17, the vocabulary ends at 16"
    )


class Boom:
    """Unpickling one would fail the test."""

    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        (
            "i.idx",
            b"\x00\x00\x08\x01" + IDX[4:],
            "not an idx file of bytes with 3 axes (magic 0x0801)",
        ),
        ("i.idx", IDX[:-7], "120 bytes declared, 113 present"),
        ("i.idx", IDX + b"x", "120 bytes declared, 121 present"),
        ("i.idx", IDX[:9], "truncated idx header"),
        ("i.idx", struct.pack(">4I", 0x0803, 0, 6, 4), "expected images"),
        ("i.gz", gzip.compress(IDX)[:-9], "ended before"),
        ("i.gz", IDX, "Not a gzipped file"),
        ("i.npy", b"\x93NUMPY", ""),
        ("i.npy", b"no array", ""),
        ("i.npz", b"PK\x03\x04 no zip", ""),
    ],
)
def test_damaged_files(tmp_path, name, content, fault):
    assert fault in refusal(save(tmp_path / name, content=content))


@pytest.mark.parametrize(
    ("array", "fault"),
    [
        (IMAGES / 255, "expected uint8, found float64"),
        (IMAGES.astype(np.int64), "expected uint8, found int64"),
        (np.full((2, 3, 3), np.nan), "found float64"),
        (IMAGES[0], "expected images [N, H, W] or [N, H, W, C], found (6, 4)"),
        (IMAGES[:0], "found (0, 6, 4, 1)"),
        (np.array([Boom()]), "allow_pickle=False"),
    ],
    ids=["floats", "integers", "nan", "one image", "no image", "objects"],
)
@pytest.mark.parametrize("packed", [False, True], ids=["npy", "npz"])
def test_arrays_that_are_no_images(tmp_path, array, fault, packed):
    path = tmp_path / ("i.npz" if packed else "i.npy")
    if packed:
        np.savez(path, images=array, allow_pickle=True)
    else:
        np.save(path, array, allow_pickle=True)
    assert fault in refusal(path)


def test_truncated_npy(tmp_path):
    path = save(tmp_path / "i.npy", array=IMAGES)
    path.write_bytes(path.read_bytes()[:-5])
    refusal(path)


def test_corrupt_npz(tmp_path):
    path = tmp_path / "i.npz"
    np.savez_compressed(path, images=IMAGES)
    content = bytearray(path.read_bytes())
    content[80] ^= 0xFF
    path.write_bytes(content)
    refusal(path)


def test_npz_of_several_arrays(tmp_path):
    path = save(tmp_path / "i.npz", arrays={"a": IMAGES, "b": IMAGES})
    assert refusal(path).endswith("expected one array, found ['a', 'b']")


def test_no_such_file(tmp_path):
    assert refusal(tmp_path / "none.npy").endswith("No such file or directory")


def test_empty_folder(tmp_path):
    assert refusal(tmp_path).endswith("the folder contains no PNG")


@pytest.mark.parametrize("mode", ["P", "LA", "RGB", "RGBA"])
def test_pictures_of_another_kind_are_taken_for_what_they_hold(tmp_path, mode):
    folder = png_folder(tmp_path / "png", IMAGES, mode)
    np.testing.assert_array_equal(load_tokens(str(folder), channels=1), IMAGES[..., None])


def test_pictures_that_would_lose_something_are_named(tmp_path):
    folder = png_folder(tmp_path / "png", IMAGES, "I;16")
    assert "000.png: I;16 (16-bit grey), expected 8 bits" in refusal(folder)


def test_a_picture_that_is_no_regular_file(tmp_path):
    folder = png_folder(tmp_path / "png", IMAGES)
    os.mkfifo(folder / "999.png")
    assert refusal(folder) == f"{folder / '999.png'}: not a regular file"


def test_pictures_of_several_shapes(tmp_path):
    folder = png_folder(tmp_path / "png", IMAGES)
    Image.fromarray(IMAGES[0, :3]).save(folder / "002.png")
    assert (
        refusal(folder) == f"{folder / '002.png'}: shape (3, 4, 1), the first image has (6, 4, 1)"
    )


def test_truncated_picture(tmp_path):
    folder = png_folder(tmp_path / "png", IMAGES)
    broken = folder / "004.png"
    broken.write_bytes(broken.read_bytes()[:-30])
    assert str(broken) in refusal(folder)


sizes = st.fixed_dictionaries({part: st.integers(1, 20) for part in PARTS})


@given(sizes, st.integers(0, 30), st.integers(0, 2**32 - 1))
def test_division(sizes, spare, seed):
    count = sum(sizes.values()) + spare
    parts = divide(count, sizes, seed)
    assert {part: len(indices) for part, indices in parts.items()} == sizes
    together = np.concatenate(list(parts.values()))
    assert len(set(together)) == len(together)
    assert set(together) <= set(range(count))
    for indices, again in zip(parts.values(), divide(count, sizes, seed).values(), strict=True):
        np.testing.assert_array_equal(indices, np.sort(indices))
        np.testing.assert_array_equal(indices, again)


def test_division_depends_on_the_seed_and_covers_everything():
    sizes = {"train": 60, "test": 40}
    one, other = divide(100, sizes, 0), divide(100, sizes, 1)
    assert set(one["train"]) | set(one["test"]) == set(range(100))
    assert not np.array_equal(one["train"], other["train"])


def test_division_of_too_few():
    with pytest.raises(DataError, match="asks for 101 of 100 images"):
        divide(100, {"train": 60, "test": 41}, 0)


def test_the_shipped_division_is_pinned():
    """A change here would move test images into training."""
    parts = divide(1797, {"train": 1200, "density": 150, "calibration": 150, "test": 297}, 0)
    content = np.concatenate([parts[part] for part in PARTS]).astype("<i8").tobytes()
    assert (
        hashlib.sha256(content).hexdigest()
        == "d4ae1e249456c230a26cba77504a77f9c04f99b843686768ea05823a524d9db4"
    )


def test_fingerprints():
    indices = np.array([2, 3, 11])
    found = fingerprint(indices)
    assert found.count == 3
    assert found.sha256 == hashlib.sha256(struct.pack("<3q", 2, 3, 11)).hexdigest()
    assert found != fingerprint(np.array([2, 3, 12]))
    assert digest(IMAGES[..., None]) == hashlib.sha256(IMAGES.tobytes()).hexdigest()
