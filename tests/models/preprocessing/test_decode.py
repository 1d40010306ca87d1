"""What is no photograph is refused with one line, before it is inflated."""

import io
import struct
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from photographs import encode, photograph, rule, scene
from PIL import Image
from png_writer import chunk

from models.files.png import MAGIC
from models.preprocessing.decode import decode, read_header
from models.preprocessing.tiles import read_picture
from models.schema.errors import (
    PictureDamageError,
    PictureDepthError,
    PictureError,
    PictureShapeError,
    PictureSizeError,
)

SCENE = Image.fromarray(scene())


def exif(orientation: int) -> bytes:
    found = Image.Exif()
    found[0x0112] = orientation
    return found.tobytes()


def pages(form: str) -> bytes:
    file = io.BytesIO()
    SCENE.save(file, form, save_all=True, append_images=[SCENE.transpose(0)])
    return file.getvalue()


def huge(form: str) -> bytes:
    """A header of 10,001 by 10,000 pixels before little data."""
    if form == "PNG":
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", 10_001, 10_000, 8, 2, 0, 0, 0))
        return MAGIC + header + chunk(b"IDAT", bytes(100))
    content = bytearray(photograph(form))
    if form == "JPEG":
        place = content.index(b"\xff\xc0") + 5
        content[place : place + 4] = struct.pack(">HH", 10_001, 10_000)
    else:
        content[18:26] = struct.pack("<II", 10_001, 10_000)
    return bytes(content)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP"])
def test_a_hundred_megapixels_are_refused_before_they_are_inflated(form):
    tracemalloc.start()
    with pytest.raises(PictureSizeError, match="more than 33554432 pixels"):
        decode(huge(form))
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_a_bomb_is_too_large_too():
    content = bytearray(huge("BMP"))
    content[18:26] = struct.pack("<II", 30_000, 30_000)
    with pytest.raises(PictureSizeError):
        read_header(bytes(content))


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"", PictureDamageError, "no picture that can be read"),
        (b"a shopping list, saved as list.jpg", PictureDamageError, "no picture"),
        (encode(SCENE, "GIF"), PictureDamageError, "PNG, JPEG, BMP, TIFF and WebP are read"),
        (photograph("JPEG")[:700], PictureDamageError, "truncated"),
        (photograph("PNG")[:-200], PictureDamageError, "damaged"),
        (photograph("WEBP")[:-200], PictureDamageError, "picture"),
        (photograph("TIFF")[:-3000], PictureDamageError, "damaged"),
        (photograph("JPEG", exif=exif(9)), PictureDamageError, "orientation is 9"),
        (encode(SCENE.convert("CMYK"), "JPEG"), PictureShapeError, "CMYK colours"),
        (encode(Image.fromarray(scene()[..., 0].astype(np.uint16))), PictureDepthError, "I;16"),
        (encode(Image.fromarray(scene()[..., 0] / 9), "TIFF"), PictureDepthError, "F, more"),
        (pages("TIFF"), PictureShapeError, "a TIFF of several pictures"),
        (pages("PNG"), PictureShapeError, "a PNG of several pictures"),
        (pages("WEBP"), PictureShapeError, "a WEBP of several pictures"),
    ],
)
def test_refusals_are_one_line(content, kind, words):
    with pytest.raises(kind, match=words) as caught:
        decode(content)
    assert "\n" not in str(caught.value)


def test_a_phone_picture_of_several_counts_by_its_first():
    content = encode(SCENE, "MPO", save_all=True, append_images=[SCENE.resize((10, 10))])
    assert read_header(content) == ("JPEG", "RGB", (40, 60))
    assert decode(content).size == (60, 40)


def test_an_orientation_that_is_not_defined_means_upright():
    assert decode(photograph("JPEG", exif=exif(0))).size == (60, 40)


def test_damaged_exif_may_say_how_the_picture_is_turned():
    """And is therefore not passed over. A directory that claims a million entries, and one that
    lists itself as its own follower, cost nothing."""
    forged = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 0xFFFF) + b"\xff" * 60_000
    loop = b"Exif\0\0II*\0" + struct.pack("<IHHHIII", 8, 1, 0x8769, 4, 1, 8, 8)
    with pytest.raises(PictureDamageError):
        decode(photograph("JPEG", exif=forged))
    assert decode(photograph("JPEG", exif=loop)).size == (60, 40)


def test_noise_in_a_file_is_never_a_traceback():
    dice = np.random.default_rng(0)
    for form in ("PNG", "JPEG", "BMP", "TIFF", "WEBP"):
        whole = np.frombuffer(photograph(form), np.uint8)
        for _ in range(60):
            content = whole.copy()
            places = dice.integers(0, min(len(content), 400), 4)
            content[places] = dice.integers(0, 256, 4)
            with suppress(PictureError):
                read_picture(content.tobytes(), rule())


def test_a_picture_smaller_than_a_tile_says_what_it_becomes():
    tiny = encode(SCENE.resize((20, 31)))
    with pytest.raises(PictureShapeError, match=r"31x20 becomes 16x10 .* a tile of 16x16; send"):
        read_picture(tiny, rule())
