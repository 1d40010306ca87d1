"""Orientations are found wherever a file states them, obeyed as Pillow obeys, never ignored."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from png_writer import exif

from models.files.orientation import UPRIGHT, OrientationReader, upright
from models.schema.errors import PictureDamageError

PICTURE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description rdf:about="" '
    b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/"%b</x:xmpmeta>'
)


def found(*chunks: tuple[bytes, bytes]) -> int:
    reader = OrientationReader()
    for kind, data in chunks:
        if kind == b"eXIf":
            reader.exif(data)
        else:
            reader.text(kind, data)
    return reader.found


def profile(content: bytes, name: bytes = b"exif") -> bytes:
    """A profile in the text form that ImageMagick writes."""
    digits = content.hex().encode()
    lines = b"\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
    return b"\n%b\n%8d\n%b\n" % (name, len(content), lines)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_as_pillow_turns(orientation: int) -> None:
    image = Image.fromarray(PICTURE)
    image.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(upright(PICTURE, orientation), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_wherever_it_is_said(orientation: int) -> None:
    block, number = exif(orientation), b"%d" % orientation
    attribute = XMP % (b' tiff:Orientation="%b"/>' % number)
    element = XMP % (b"><tiff:Orientation>%b</tiff:Orientation></rdf:Description>" % number)
    key = b"Raw profile type exif\0"
    for place in (
        (b"eXIf", block),
        (b"eXIf", exif(orientation, "<")),
        (b"eXIf", exif(orientation, kind=4)),
        (b"eXIf", exif(orientation, "<", kind=1)),
        (b"eXIf", b"Exif\0\0" + block),
        (b"tEXt", key + profile(block)),
        (b"tEXt", b"Raw profile type APP1\0" + profile(b"Exif\0\0" + block, b"app1")),
        (b"tEXt", b"Raw profile type APP1\0" + profile(attribute, b"app1")),
        (b"zTXt", key + b"\0" + zlib.compress(profile(block))),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + attribute),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0en\0\0" + element),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(attribute)),
        (b"tEXt", b"XML:com.adobe.xmp\0" + attribute),
    ):
        assert found(place) == orientation
        assert found(place, (b"eXIf", block)) == orientation


def test_pillow_writes_what_is_read() -> None:
    file = io.BytesIO()
    image = Image.fromarray(PICTURE)
    image.getexif()[0x0112] = 6
    image.save(file, "PNG", exif=image.getexif())
    content = file.getvalue()
    start = content.index(b"eXIf")
    (length,) = struct.unpack(">I", content[start - 4 : start])
    assert found((b"eXIf", content[start + 4 : start + 4 + length])) == 6


def test_where_nothing_is_said() -> None:
    nothing = struct.pack(">4sIHI", b"MM\0*", 8, 0, 0)
    assert found() == UPRIGHT
    assert found((b"eXIf", nothing)) == UPRIGHT
    assert found((b"tEXt", b"Comment\0tiff:Orientation=6")) == UPRIGHT
    assert found((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP % b"/>")) == UPRIGHT


def lied(count: int, kind: int = 3, values: int = 1) -> bytes:
    return struct.pack(">4sIHHHIHH", b"MM\0*", 8, count, 0x0112, kind, values, 6, 0)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (b"eXIf", b""),
        (b"eXIf", b"II"),
        (b"eXIf", b"II*\0"),
        (b"eXIf", b"XX*\0\0\0\0\10"),
        (b"eXIf", struct.pack(">4sI", b"MM\0*", 2**32 - 1)),
        (b"eXIf", lied(0xFFFF)),
        (b"eXIf", lied(2)),
        (b"eXIf", lied(1, kind=2)),
        (b"eXIf", lied(1, values=3)),
        (b"eXIf", exif(0)),
        (b"eXIf", exif(9)),
        (b"tEXt", b"Raw profile type exif\0"),
        (b"tEXt", b"Raw profile type exif\0\nexif\n8\nnot hex!"),
        (b"tEXt", b"Raw profile type exif\0" + profile(b"XX" + exif(6)[2:])),
        (b"zTXt", b"Raw profile type exif\0\0not deflated"),
        (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile(exif(6)))[:-1]),
        (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(50_000_000), 9)),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(50_000_000), 9)),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP % b' tiff:Orientation="0"/>'),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP % b' tiff:Orientation="six"/>'),
    ],
)
def test_what_cannot_be_obeyed_is_refused(kind: bytes, data: bytes) -> None:
    with pytest.raises(PictureDamageError, match=r"orientation|turned"):
        found((kind, data))


def test_what_contradicts_itself_is_refused() -> None:
    xmp = (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP % b' tiff:Orientation="1"/>')
    with pytest.raises(PictureDamageError, match="two orientations, 6 and 1"):
        found((b"eXIf", exif(6)), xmp)


def test_what_is_deflated_has_a_bound_in_all() -> None:
    """Several texts share it, and nothing is left when one of them takes all of it."""
    head = b"XML:com.adobe.xmp\0\1\0\0\0"
    for sizes in ((200_000, 200_000), (256 << 10, 1), (256 << 10, 50_000_000)):
        texts = [(b"iTXt", head + zlib.compress(bytes(size))) for size in sizes]
        assert found(texts[0]) == UPRIGHT
        with pytest.raises(PictureDamageError):
            found(*texts)


@given(st.sampled_from([b"eXIf", b"tEXt", b"zTXt", b"iTXt"]), st.binary(max_size=80))
def test_any_bytes_at_all(kind: bytes, data: bytes) -> None:
    for prefix in (b"", b"MM\0*\0\0\0\10", b"Raw profile type exif\0", b"XML:com.adobe.xmp\0"):
        try:
            assert 1 <= found((kind, prefix + data)) <= 8
        except PictureDamageError:
            continue
