"""Reading of PNG files (W3C, Portable Network Graphics, third edition, 2025): one still picture.

The header bounds how many bytes and chunks a file may have, before any chunk is read or inflated.
Chunks that say how a screen should show the values (gAMA, cHRM, sRGB, iCCP, cICP, bKGD, pHYs) are
ignored, because a model is asked about the values themselves.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.files.orientation import TEXT_CHUNKS, OrientationReader
from models.schema.errors import PictureDamageError, PictureSizeError

MAGIC = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
_DEPTHS = {
    GREY: (1, 2, 4, 8, 16),
    RGB: (8, 16),
    PALETTE: (1, 2, 4, 8),
    GREY_ALPHA: (8, 16),
    RGB_ALPHA: (8, 16),
}
_SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
_NAMES = {
    GREY: ("L", "grey"),
    RGB: ("RGB", "RGB"),
    PALETTE: ("P", "palette"),
    GREY_ALPHA: ("LA", "grey with alpha"),
    RGB_ALPHA: ("RGBA", "RGB with alpha"),
}
_CHUNK = struct.Struct(">I4s")
_CRC = struct.Struct(">I")
_IHDR = struct.Struct(">II5B")
# Adam7: first column, first row, step between columns, step between rows of each pass.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
_INTERLACED = (*_PASSES, (0, 1, 1, 2))
_WHOLE = ((0, 0, 1, 1),)
_LONGEST_SIDE = 2**31 - 1
# Room for the rest of a file: text, a colour profile, a small preview.
_OTHER_BYTES = 1 << 20
_OTHER_CHUNKS = 256
# Encoders write pixels in pieces of at least this size, or in one piece for each row.
_PIECE_BYTES = 4096
_CRITICAL = frozenset((b"IHDR", b"PLTE", b"IDAT", b"IEND"))
_ONCE = frozenset((b"IHDR", b"PLTE", b"tRNS", b"eXIf"))


class Header(NamedTuple):
    """The first chunk, IHDR."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool

    @property
    def mode(self) -> str:
        """The kind of pixels: Pillow's name of it, then words."""
        name, words = _NAMES[self.colour]
        if self.colour == GREY:
            name = {1: "1", 16: "I;16"}.get(self.depth, name)
        return f"{name} ({self.depth}-bit {words})"

    @property
    def samples(self) -> int:
        """Number of values that are stored for each pixel."""
        return _SAMPLES[self.colour]

    @property
    def inflated_bytes(self) -> int:
        """Number of bytes that the pixels have before compression: each row follows one byte that
        names its filter."""
        total = 0
        for left, top, across, down in _INTERLACED if self.interlaced else _WHOLE:
            columns = -(-(self.width - left) // across)
            rows = -(-(self.height - top) // down)
            if columns > 0 and rows > 0:
                total += rows * (1 + -(-columns * self.samples * self.depth // 8))
        return total


class Png(NamedTuple):
    """One file after its chunks were read: the compressed pixels, and what decides their meaning.

    `palette` is `[entries, 3]`; `transparency` is the content of tRNS, if there is one.
    """

    header: Header
    palette: NDArray[np.uint8]
    transparency: bytes | None
    orientation: int
    deflated: bytes


def read_header(content: bytes) -> Header:
    """The header alone. Raises PictureDamageError."""
    start = len(MAGIC)
    if not content.startswith(MAGIC) or len(content) < start + _CHUNK.size + _IHDR.size:
        raise PictureDamageError("a truncated PNG, or none")
    length, kind = _CHUNK.unpack_from(content, start)
    if (length, kind) != (_IHDR.size, b"IHDR"):
        raise PictureDamageError(f"not a readable PNG: it begins with a chunk {_name(kind)}")
    fields = _IHDR.unpack_from(content, start + _CHUNK.size)
    width, height, depth, colour, compression, filtering, interlace = fields
    sizes = 0 < width <= _LONGEST_SIDE and 0 < height <= _LONGEST_SIDE
    methods = compression == filtering == 0 and interlace in (0, 1)
    if not (sizes and methods and depth in _DEPTHS.get(colour, ())):
        raise PictureDamageError("not a readable PNG: its header is damaged")
    return Header(width, height, depth, colour, bool(interlace))


def read_png(content: bytes, header: Header) -> Png:
    """Read every chunk of a file whose `header` is known; the pixels stay compressed.

    Raises PictureSizeError when the file is too large for its pixels, and PictureDamageError when
    it is damaged or animated or contradicts itself.
    """
    pixels = header.inflated_bytes
    most = 2 * pixels + _OTHER_BYTES
    if len(content) > most:
        raise PictureSizeError(
            f"{len(content)} bytes for {header.width}x{header.height} pixels; at most {most}"
        )
    palette, transparency = np.zeros((0, 3), np.uint8), None
    pieces: list[bytes] = []
    orientation = OrientationReader()
    for kind, data in _chunks(content, header):
        if kind == b"IDAT":
            pieces.append(data)
        elif kind == b"PLTE":
            palette = _palette(data, header)
        elif kind == b"tRNS":
            transparency = data
        elif kind == b"eXIf":
            orientation.exif(data)
        elif kind in TEXT_CHUNKS:
            orientation.text(kind, data)
        elif kind == b"acTL":
            raise PictureDamageError("an animated PNG; one still picture is expected")
    if header.colour == PALETTE and not len(palette):
        raise PictureDamageError("not a readable PNG: its palette is missing")
    return Png(header, palette, transparency, orientation.found, b"".join(pieces))


def decode(png: Png) -> NDArray[np.uint8]:
    """Values `[H, W, samples]` as they are stored: levels 0 to 255, or indices into the palette.

    Grey of 1, 2 or 4 bits is scaled to 255, which is exact. The depth must be at most 8. Raises
    PictureDamageError.
    """
    _check_pixels(png)
    # Pillow gets a new file of the pixels alone, so that it reads no other chunk.
    width, height, depth, colour, interlaced = header = png.header
    fields = _IHDR.pack(width, height, depth, colour, 0, 0, interlaced)
    chunks = ((b"IHDR", fields), (b"IDAT", png.deflated), (b"IEND", b""))
    file = io.BytesIO(MAGIC + b"".join(_written(kind, data) for kind, data in chunks))
    try:
        with Image.open(file, formats=["PNG"]) as image:
            values = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise PictureDamageError("not a readable PNG: its pixels are damaged") from error
    if values.dtype == np.bool_:
        values = np.where(values, np.uint8(255), np.uint8(0))
    return values.reshape(height, width, header.samples)


def _chunks(content: bytes, header: Header) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and data of each chunk up to IEND.

    Raises PictureDamageError, and PictureSizeError when there are too many chunks.
    """
    left = most = _OTHER_CHUNKS + 2 * header.height + header.inflated_bytes // _PIECE_BYTES
    position, seen = len(MAGIC), set[bytes]()
    kind = b""
    while kind != b"IEND":
        if not left:
            raise PictureSizeError(
                f"more than {most} chunks for {header.width}x{header.height} pixels"
            )
        left -= 1
        try:
            length, kind = _CHUNK.unpack_from(content, position)
            start = position + _CHUNK.size
            data = content[start : start + length]
            (stated,) = _CRC.unpack_from(content, start + length)
        except struct.error as error:
            raise PictureDamageError("a truncated PNG") from error
        if zlib.crc32(data, zlib.crc32(kind)) != stated:
            raise PictureDamageError(f"a damaged PNG: the checksum of {_name(kind)} does not fit")
        if kind in _ONCE and kind in seen:
            raise PictureDamageError(f"a forged PNG: {_name(kind)} comes twice")
        # A capital as its first letter says that a reader must understand the chunk.
        if kind[:1].isupper() and kind not in _CRITICAL:
            raise PictureDamageError(f"a PNG with a chunk {_name(kind)}, which is not known")
        seen.add(kind)
        position = start + length + _CRC.size
        yield kind, data


def _palette(data: bytes, header: Header) -> NDArray[np.uint8]:
    """Colours `[entries, 3]`. Raises PictureDamageError."""
    entries, rest = divmod(len(data), 3)
    most = 2**header.depth if header.colour == PALETTE else 256
    if rest or not 0 < entries <= most or header.colour in (GREY, GREY_ALPHA):
        raise PictureDamageError("a damaged PNG: its palette does not fit its header")
    return np.frombuffer(data, np.uint8).reshape(entries, 3)


def _check_pixels(png: Png) -> None:
    """Raise PictureDamageError unless there are as many pixels as the header declares.

    At most one byte more than declared is inflated.
    """
    declared = png.header.inflated_bytes
    inflater = zlib.decompressobj()
    try:
        found = len(inflater.decompress(png.deflated, declared + 1))
        if found == declared and not inflater.eof:
            found += len(inflater.decompress(inflater.unconsumed_tail, 1))
    except zlib.error as error:
        raise PictureDamageError("not a readable PNG: its pixels are damaged") from error
    if found > declared:
        raise PictureDamageError("a forged PNG: more pixels than its header declares")
    if found < declared or not inflater.eof:
        raise PictureDamageError("a truncated PNG: fewer pixels than its header declares")


def _written(kind: bytes, data: bytes) -> bytes:
    return _CHUNK.pack(len(data), kind) + data + _CRC.pack(zlib.crc32(data, zlib.crc32(kind)))


def _name(kind: bytes) -> str:
    """The kind of a chunk in printable form; a sound file has four letters there."""
    return ascii(kind)[1:]
