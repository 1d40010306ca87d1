"""A folder as people have them: what is taken, and what is left out and why."""

import os

import numpy as np
import pytest
from photographs import encode, photograph, scene
from PIL import Image

from models.preprocessing.folder import printable, scan
from models.schema.errors import DataError


def put(folder, name, content=None, seed=0):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(photograph(seed=seed) if content is None else content)
    return path


def names(found):
    return [one.name for one in found.photographs]


def mask(seed=0):
    spot = np.where(scene(seed=seed)[..., 0] > 100, 255, 0).astype(np.uint8)
    return encode(Image.fromarray(spot))


@pytest.fixture
def mixed(tmp_path):
    for index, form in enumerate(("PNG", "JPEG", "BMP", "TIFF", "WEBP")):
        put(tmp_path, f"day-{index % 2}/{index}.{form.lower()}", photograph(form, seed=index))
    put(tmp_path, "grey.png", encode(Image.fromarray(scene()).convert("L")))
    return tmp_path


def test_every_format_at_every_depth(mixed):
    found = scan(mixed)
    assert names(found) == [
        "grey.png",
        "day-0/0.png",
        "day-0/2.bmp",
        "day-0/4.webp",
        "day-1/1.jpeg",
        "day-1/3.tiff",
    ]
    assert found.sizes == {"40x60": 6}
    assert found.kinds["PNG L"] == found.kinds["JPEG RGB"] == 1
    assert not found.left_out


def test_what_is_left_out_is_named(mixed):
    put(mixed, "notes.txt", b"text")
    put(mixed, "list.jpg", b"a shopping list")
    put(mixed, "copy.png", photograph(seed=0))
    put(mixed, ".hidden.png")
    put(mixed, "__MACOSX/0.png")
    put(mixed, "Masks/0.png", mask())
    put(mixed, "anomaly/9.png", seed=9)
    put(mixed, "bits.png", encode(Image.fromarray(scene()[..., 0].astype(np.uint16))))
    (mixed / "gone.png").symlink_to("nowhere.png")
    (mixed / "itself").symlink_to("itself")
    (mixed / "itself.png").symlink_to("itself.png")
    found = scan(mixed)
    assert len(found.photographs) == 6
    assert found.left_out == {
        "hidden": [".hidden.png", "__MACOSX"],
        "no picture by its name": ["itself", "notes.txt"],
        "folder named like masks": ["Masks"],
        "folder named like defects": ["anomaly"],
        "copy of another picture": ["day-0/0.png"],
        "cannot be read: I;16, more than 8 bits a value; convert it to 8 bits": ["bits.png"],
        "cannot be read: No such file or directory": ["gone.png"],
        "cannot be read: Too many levels of symbolic links": ["itself.png"],
        "cannot be read: no picture that can be read; PNG, JPEG, BMP, TIFF and WebP are read": [
            "list.jpg"
        ],
    }


def test_masks_beside_photographs_are_never_photographs(tmp_path):
    for name in ("a", "b"):
        put(tmp_path, f"good/{name}.jpg", photograph("JPEG", seed=ord(name)))
    put(tmp_path, "good/a_mask.png", mask(1))
    put(tmp_path, "shapes/b.png", mask(2))
    put(tmp_path, "alone.png", mask(3))
    found = scan(tmp_path)
    assert names(found) == ["alone.png", "good/a.jpg", "good/b.jpg"]
    (reason,) = found.left_out
    assert reason.startswith("mask of another picture")
    assert found.left_out[reason] == ["good/a_mask.png", "shapes/b.png"]


def test_a_loop_of_links_ends(mixed):
    (mixed / "day-0" / "loop").symlink_to(mixed, target_is_directory=True)
    (mixed / "day-1" / "other").symlink_to(mixed / "day-0", target_is_directory=True)
    found = scan(mixed)
    assert len(found.photographs) == 6
    (reason,) = found.left_out
    assert "already read" in reason


def test_a_name_that_is_no_text(tmp_path):
    put(tmp_path, os.fsdecode(b"caf\xe9.png"), photograph())
    found = scan(tmp_path)
    assert names(found) == ["caf\\xe9.png"]
    assert found.photographs[0].path.read_bytes() == photograph()
    assert printable("a\nb") == "a\\nb"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "the folder is empty; PNG, JPEG, BMP"),
        ({"a.txt": b"text"}, "no photographs; left out: 1 no picture by its name"),
        ({"a.png": b"text"}, "no photographs; left out: 1 cannot be read"),
    ],
)
def test_a_folder_without_photographs(tmp_path, files, words):
    for name, content in files.items():
        put(tmp_path, name, content)
    with pytest.raises(DataError, match=words):
        scan(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        scan(tmp_path / "nowhere")
