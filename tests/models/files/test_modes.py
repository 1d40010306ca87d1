"""Every kind of picture is converted exactly, or refused with the conversion to make."""

import io
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from png_writer import KINDS, SAMPLES, chunk, exif, write_png

from models.files.modes import picture_levels
from models.files.orientation import upright
from models.schema.errors import (
    PictureDamageError,
    PictureDepthError,
    PictureError,
    PictureShapeError,
    PictureSizeError,
)

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
MAX_PIXELS = 1 << 16


class Case(NamedTuple):
    """A file, and what it holds by the standard: levels `[H, W, 3]`, and opacity `[H, W]`."""

    content: bytes
    depth: int
    colours: np.ndarray
    opacity: np.ndarray


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Every colour type and depth, with or without tRNS, transparent pixels, colours, eXIf."""
    colour, depth = draw(st.sampled_from(KINDS))
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    noise = np.random.default_rng(draw(st.integers(0, 2**32)))
    alike, opaque = draw(st.booleans()), draw(st.booleans())
    most = 2**depth - 1
    stored = noise.integers(0, most + 1, (height, width, SAMPLES[colour]))
    if alike and colour in (RGB, RGB_ALPHA):
        stored[..., 1] = stored[..., 2] = stored[..., 0]
    if opaque and colour in (GREY_ALPHA, RGB_ALPHA):
        stored[..., -1] = most
    before: list[bytes] = []
    opacity = np.full((height, width), 255)
    if colour == PALETTE:
        palette = noise.integers(0, 256, (most + 1, 3), dtype=np.uint8)
        if alike:
            palette[:, 1] = palette[:, 2] = palette[:, 0]
        before.append(chunk(b"PLTE", palette.tobytes()))
        colours = palette[stored[..., 0]]
        if draw(st.booleans()):
            known = draw(st.integers(1, most + 1))
            table = np.full(most + 1, 255)
            table[:known] = 255 if opaque else noise.integers(0, 256, known)
            before.append(chunk(b"tRNS", table[:known].astype(np.uint8).tobytes()))
            opacity = table[stored[..., 0]]
    else:
        bare = stored[..., :-1] if colour in (GREY_ALPHA, RGB_ALPHA) else stored
        colours = (bare * 255 // most).repeat(4 - bare.shape[2] if bare.shape[2] == 1 else 1, 2)
        if colour in (GREY_ALPHA, RGB_ALPHA):
            opacity = stored[..., -1]
        elif draw(st.booleans()):
            clear = noise.integers(0, most + 1, SAMPLES[colour]) if opaque else stored[0, 0]
            before.append(chunk(b"tRNS", clear.astype(">u2").tobytes()))
            opacity = np.where((stored == clear).all(axis=2), 0, 255)
    orientation = draw(st.integers(1, 8))
    if draw(st.booleans()):
        before.append(chunk(b"eXIf", exif(orientation)))
        colours = upright(colours, orientation)
        opacity = upright(opacity[..., None], orientation)[..., 0]
    content = write_png(stored, depth, colour, interlaced=draw(st.booleans()), before=before)
    return Case(content, depth, colours, opacity)


@settings(max_examples=600)
@given(cases(), st.sampled_from([1, 3]))
def test_what_a_picture_holds_is_taken_exactly_or_refused(case: Case, channels: int) -> None:
    height, width = case.opacity.shape
    grey = (case.colours == case.colours[..., :1]).all()
    error: type[PictureError] | None = None
    if case.depth > 8:
        error = PictureDepthError
    elif (case.opacity != 255).any() or (channels == 1 and not grey):
        error = PictureShapeError
    if error is None:
        found = picture_levels(case.content, MAX_PIXELS, channels, (height, width))
        np.testing.assert_array_equal(found, case.colours[..., :channels])
    else:
        with pytest.raises(error):
            picture_levels(case.content, MAX_PIXELS, channels, (height, width))


PICTURE = np.random.default_rng(0).integers(0, 256, (5, 7), dtype=np.uint8)


def test_turned_pictures_have_the_size_that_people_see() -> None:
    stored = PICTURE[..., None]
    content = write_png(stored, 8, GREY, before=[chunk(b"eXIf", exif(6))])
    turned = picture_levels(content, MAX_PIXELS, 1, (7, 5))
    np.testing.assert_array_equal(turned, np.rot90(stored, -1))
    with pytest.raises(PictureShapeError, match=r"\[7, 5, 1\], expected \[5, 7, 1\]"):
        picture_levels(content, MAX_PIXELS, 1, (5, 7))


def test_size_and_pixels() -> None:
    content = write_png(PICTURE[..., None], 8, GREY)
    for size in ((5, 5), (7, 7), (5, 8), (1, 35)):
        with pytest.raises(PictureShapeError, match=r"\[5, 7, 1\], expected"):
            picture_levels(content, MAX_PIXELS, 1, size)
    with pytest.raises(PictureShapeError, match="expected"):
        picture_levels(content, MAX_PIXELS, 1, (7, 5))
    with pytest.raises(PictureSizeError, match="7x5 is more than 34 pixels"):
        picture_levels(content, 34, 1, (5, 7))


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("LA", 1), ("RGB", 3), ("P", 3)])
def test_without_a_model_a_picture_has_its_own_channels(mode: str, channels: int) -> None:
    file = io.BytesIO()
    Image.fromarray(PICTURE).convert(mode).save(file, "PNG")
    found = picture_levels(file.getvalue(), MAX_PIXELS)
    np.testing.assert_array_equal(found, PICTURE[..., None].repeat(channels, axis=2))


@pytest.mark.parametrize(("colour", "channels"), [(GREY_ALPHA, 2), (RGB_ALPHA, 4)])
def test_models_of_other_channels_take_their_own_form_alone(colour: int, channels: int) -> None:
    stored = np.random.default_rng(1).integers(0, 256, (3, 2, channels), dtype=np.uint8)
    content = write_png(stored, 8, colour)
    np.testing.assert_array_equal(picture_levels(content, MAX_PIXELS, channels, (3, 2)), stored)
    for other in {1, 2, 3, 4, 5} - {channels}:
        with pytest.raises(PictureShapeError, match=r"\.npy|transparent"):
            picture_levels(content, MAX_PIXELS, other, (3, 2))


INDICES = np.array([[[0], [1]], [[2], [3]]])
SHORT = chunk(b"PLTE", bytes(9))
FULL = chunk(b"PLTE", bytes(12))


@pytest.mark.parametrize(
    ("values", "colour", "depth", "chunks"),
    [
        (INDICES, PALETTE, 8, [SHORT]),
        (INDICES, PALETTE, 2, [SHORT]),
        (INDICES, PALETTE, 8, [FULL, chunk(b"tRNS", bytes(5))]),
        (INDICES, GREY, 8, [chunk(b"tRNS", b"\0")]),
        (INDICES, GREY, 8, [chunk(b"tRNS")]),
        (INDICES.repeat(3, 2), RGB, 8, [chunk(b"tRNS", bytes(2))]),
        (INDICES.repeat(2, 2), GREY_ALPHA, 8, [chunk(b"tRNS", bytes(2))]),
        (INDICES.repeat(4, 2), RGB_ALPHA, 8, [chunk(b"tRNS", bytes(6))]),
    ],
)
def test_what_contradicts_itself(
    values: np.ndarray, colour: int, depth: int, chunks: list[bytes]
) -> None:
    content = write_png(values, depth, colour, before=chunks)
    with pytest.raises(PictureDamageError):
        picture_levels(content, MAX_PIXELS, 1, (2, 2))


def saved(mode: str, clear: bool = False) -> bytes:
    """A picture of some mode that would lose something; with the first pixel's colour `clear`."""
    image = Image.fromarray(np.dstack([PICTURE, 255 - PICTURE, PICTURE, PICTURE]), "RGBA")
    if mode == "I;16":
        image = Image.fromarray(PICTURE.astype(np.uint16) * 257)
    image = image if image.mode == mode else image.convert(mode)
    file = io.BytesIO()
    image.save(file, "PNG", **({"transparency": image.getpixel((0, 0))} if clear else {}))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "channels", "mode"),
    [
        (saved("RGB"), 1, "RGB"),
        (saved("P"), 1, "P"),
        (saved("RGBA"), 1, "RGBA"),
        (saved("RGBA"), 3, "RGBA"),
        (saved("LA"), 1, "LA"),
        (saved("L", clear=True), 1, "L"),
        (saved("RGB", clear=True), 1, "RGB"),
        (saved("I;16"), 1, "I;16"),
        (saved("I;16"), 3, "I;16"),
        (write_png(np.full((5, 7, 3), 40_000), 16, RGB), 3, "RGB"),
        (write_png(np.full((5, 7, 2), 40_000), 16, GREY_ALPHA), 1, "LA"),
        (write_png(np.full((5, 7, 4), 40_000), 16, RGB_ALPHA), 3, "RGBA"),
    ],
)
def test_a_refusal_names_the_mode_and_a_conversion_that_works(
    tmp_path, content: bytes, channels: int, mode: str
) -> None:
    with pytest.raises(PictureError) as refused:
        picture_levels(content, MAX_PIXELS, channels, (5, 7))
    text = str(refused.value)
    assert f"{mode} (" in text
    assert "expected" in text
    file = tmp_path / "f.png"
    file.write_bytes(content)
    advice = text[text.index("Image.") :]
    names = {"Image": Image, "np": np, "f": file}
    converted = eval(advice, names)
    converted.save(file)
    assert picture_levels(file.read_bytes(), MAX_PIXELS, channels, (5, 7)).shape == (5, 7, channels)
