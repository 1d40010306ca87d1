"""PNG files: every kind is read as it is stored; what a file may cost is bound by its header."""

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from png_writer import KINDS, SAMPLES, SIGNATURE, assembled, chunk, exif, ihdr, write_png

from models.files.png import Header, decode, read_header, read_png
from models.schema.errors import PictureDamageError, PictureError, PictureSizeError

ROWS = zlib.compress(bytes(4 * (1 + 3)))
IDAT = chunk(b"IDAT", ROWS)
PLTE = chunk(b"PLTE", bytes(range(6)))
SOUND = assembled(ihdr(3, 4), IDAT)


def read(content: bytes) -> np.ndarray:
    return decode(read_png(content, read_header(content)))


@given(
    st.sampled_from([kind for kind in KINDS if kind[1] <= 8]),
    st.booleans(),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.integers(1, 5),
    st.randoms(use_true_random=False),
)
def test_what_is_stored_is_read(
    kind: tuple[int, int], interlaced: bool, size: tuple[int, int], pieces: int, dice: object
) -> None:
    colour, depth = kind
    noise = np.random.default_rng(dice.getrandbits(32))  # type: ignore[attr-defined]
    stored = noise.integers(0, 2**depth, (*size, SAMPLES[colour]))
    palette = [chunk(b"PLTE", bytes(3 * 2**depth))] if colour == 3 else []
    content = write_png(stored, depth, colour, interlaced=interlaced, before=palette, pieces=pieces)
    scale = 255 // (2**depth - 1) if colour == 0 else 1
    np.testing.assert_array_equal(read(content), stored * scale)


def test_the_size_is_known_before_anything_is_inflated() -> None:
    for width, height in ((1, 1), (5, 3), (8, 8), (9, 17)):
        for colour, depth in KINDS:
            for interlaced in (False, True):
                stored = np.zeros((height, width, SAMPLES[colour]), np.uint8)
                content = write_png(stored, depth, colour, interlaced=interlaced)
                (start,) = (i for i in range(len(content)) if content[i : i + 4] == b"IDAT")
                inflated = zlib.decompress(content[start + 4 : -16])
                header = Header(width, height, depth, colour, interlaced)
                assert read_header(content) == header
                assert header.inflated_bytes == len(inflated)


@pytest.mark.parametrize(
    "first",
    [
        b"",
        ihdr(3, 4)[:-5],
        chunk(b"CgBI", bytes(4)) + ihdr(3, 4),
        chunk(b"IHDR", bytes(12)),
        ihdr(0, 4),
        ihdr(3, 2**31),
        ihdr(3, 4, depth=3),
        ihdr(3, 4, depth=4, colour=2),
        ihdr(3, 4, depth=16, colour=3),
        ihdr(3, 4, colour=5),
        ihdr(3, 4, interlace=2),
        chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 4, 8, 0, 1, 0, 0)),
    ],
)
def test_a_header_that_is_none(first: bytes) -> None:
    with pytest.raises(PictureDamageError):
        read_header(SIGNATURE + first)


BOMB = zlib.compress(bytes(50_000_000), 9)


@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        ([ihdr(3, 4)], "fewer pixels"),
        ([ihdr(3, 4), chunk(b"IDAT", zlib.compress(bytes(15)))], "fewer pixels"),
        ([ihdr(3, 4), chunk(b"IDAT", ROWS[:-1])], "fewer pixels"),
        ([ihdr(3, 4), chunk(b"IDAT", zlib.compress(bytes(17)))], "more pixels"),
        ([ihdr(3, 4), chunk(b"IDAT", BOMB)], "more pixels"),
        ([ihdr(3, 4), chunk(b"IDAT", b"not deflated")], "damaged"),
        ([ihdr(3, 4), chunk(b"IDAT", zlib.compress(b"\7" * 16))], "damaged"),
        ([ihdr(3, 4), ihdr(3, 4), IDAT], "twice"),
        ([ihdr(3, 4, colour=3), PLTE, PLTE, IDAT], "twice"),
        ([ihdr(3, 4), chunk(b"tRNS", bytes(2)), chunk(b"tRNS", bytes(2)), IDAT], "twice"),
        ([ihdr(3, 4), chunk(b"eXIf", exif(1)), chunk(b"eXIf", exif(6)), IDAT], "twice"),
        ([ihdr(3, 4), chunk(b"acTL", bytes(8)), IDAT], "animated"),
        ([ihdr(3, 4), IDAT, chunk(b"acTL", bytes(8))], "animated"),
        ([ihdr(3, 4), chunk(b"ABCD"), IDAT], "'ABCD'"),
        ([ihdr(3, 4), chunk(b"A\nCD"), IDAT], "'A\\nCD'"),
        ([ihdr(3, 4), PLTE, IDAT], "palette"),
        ([ihdr(3, 4, colour=3), IDAT], "palette is missing"),
        ([ihdr(3, 4, colour=3), chunk(b"PLTE"), IDAT], "palette"),
        ([ihdr(3, 4, colour=3), chunk(b"PLTE", bytes(5)), IDAT], "palette"),
        ([ihdr(3, 4, depth=1, colour=3), chunk(b"PLTE", bytes(9)), IDAT], "palette"),
        ([ihdr(3, 4), IDAT[:-1] + b"\0"], "checksum"),
        ([ihdr(3, 4), IDAT, chunk(b"tEXt", b"a\0b")[:-1] + b"\0"], "checksum"),
        ([ihdr(3, 4), struct.pack(">I4s", 2**32 - 1, b"IDAT")], "truncated"),
    ],
)
def test_what_is_damaged_or_forged(chunks: list[bytes], words: str) -> None:
    with pytest.raises(PictureDamageError, match=words.replace("\\", "\\\\")):
        read(assembled(*chunks))


def test_a_file_that_ends_early() -> None:
    assert read(SOUND).shape == (4, 3, 1)
    for end in range(len(SOUND)):
        with pytest.raises(PictureDamageError):
            read(SOUND[:end])


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk(b"gAMA", bytes(4)), chunk(b"cHRM", bytes(32)), chunk(b"sRGB", bytes(1))],
        [chunk(b"iCCP", b"name\0\0" + BOMB), chunk(b"cICP", bytes(4))],
        [chunk(b"zTXt", b"Comment\0\0" + BOMB), chunk(b"iTXt", b"a\0\1\0\0\0" + BOMB)],
        [chunk(b"pHYs", bytes(9)), chunk(b"bKGD", bytes(2)), chunk(b"tIME", bytes(7))],
        [chunk(b"prVt", bytes(900_000)), chunk(b"fcTL", bytes(26))],
    ],
)
def test_what_does_not_concern_the_values_is_passed_over(chunks: list[bytes]) -> None:
    for content in (assembled(ihdr(3, 4), *chunks, IDAT), assembled(ihdr(3, 4), IDAT, *chunks)):
        np.testing.assert_array_equal(read(content), read(SOUND))
    np.testing.assert_array_equal(read(SOUND + bytes(1000)), read(SOUND))


@pytest.mark.parametrize("kind", [b"prVt", b"tEXt", b"IDAT", b"iTXt"])
@pytest.mark.parametrize("count", [1_000, 80_000, 1_300_000])
def test_a_file_of_chunks(kind: bytes, count: int) -> None:
    """Whichever bound it meets first."""
    content = assembled(ihdr(3, 4), *[chunk(kind)] * count, IDAT)
    with pytest.raises(PictureSizeError, match="for 3x4 pixels"):
        read(content)


class Counted(bytes):
    """A file that counts how often somebody looks into it."""

    looks = 0

    def __getitem__(self, key: object) -> object:  # type: ignore[override]
        Counted.looks += 1
        return super().__getitem__(key)  # type: ignore[index]


def test_what_is_too_long_is_not_walked_through() -> None:
    content = Counted(assembled(ihdr(3, 4), *[chunk(b"prVt")] * 1_300_000, IDAT))
    with pytest.raises(PictureSizeError):
        read_png(content, read_header(content))
    assert Counted.looks == 0


def long_and_thin() -> bytes:
    return write_png(np.zeros((5000, 1, 1), np.uint8), 8, 0, pieces=40)


def many_pieces() -> bytes:
    """libpng writes pieces of 8 kB."""
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3))
    return write_png(noise, 8, 2, pieces=95)


def a_piece_a_row() -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (300, 40, 1))
    return write_png(noise, 8, 0, interlaced=True, pieces=560)


def with_notes() -> bytes:
    notes = [chunk(b"tEXt", b"exif:Note%d\0" % i + b"x" * 40) for i in range(80)]
    return write_png(np.zeros((28, 28, 1), np.uint8), 8, 0, before=notes, after=notes)


@pytest.mark.parametrize("write", [long_and_thin, many_pieces, a_piece_a_row, with_notes])
def test_files_as_encoders_write_them_are_within_the_bounds(write: Callable[[], bytes]) -> None:
    read(write())


@settings(max_examples=500)
@given(st.sampled_from([SOUND, with_notes()[:400]]), st.data())
def test_any_bytes_at_all_are_read_or_refused(seed: bytes, data: st.DataObject) -> None:
    content = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(8, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        values = read(bytes(content))
    except PictureError:
        return
    assert values.dtype == np.uint8
