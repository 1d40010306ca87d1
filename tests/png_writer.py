"""PNGs of every kind, written by hand: an encoder that shares nothing with what reads them."""

import struct
import zlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
KINDS = [(colour, depth) for colour, depths in DEPTHS.items() for depth in depths]
# The pass of each pixel in a tile of 8 by 8, as the standard draws it.
ADAM7 = np.array(
    [
        [1, 6, 4, 6, 2, 6, 4, 6],
        [7, 7, 7, 7, 7, 7, 7, 7],
        [5, 6, 5, 6, 5, 6, 5, 6],
        [7, 7, 7, 7, 7, 7, 7, 7],
        [3, 6, 4, 6, 3, 6, 4, 6],
        [7, 7, 7, 7, 7, 7, 7, 7],
        [5, 6, 5, 6, 5, 6, 5, 6],
        [7, 7, 7, 7, 7, 7, 7, 7],
    ]
)


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """One chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def ihdr(width: int, height: int, depth: int = 8, colour: int = 0, interlace: int = 0) -> bytes:
    """The first chunk."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


def assembled(*chunks: bytes) -> bytes:
    """A file of these chunks and the last one."""
    return SIGNATURE + b"".join(chunks) + chunk(b"IEND")


def write_png(
    values: NDArray[np.integer],
    depth: int,
    colour: int,
    *,
    interlaced: bool = False,
    before: Iterable[bytes] = (),
    after: Iterable[bytes] = (),
    pieces: int = 1,
) -> bytes:
    """Stored values `[H, W, samples]` as a file; `before` and `after` are chunks around the pixels,
    which are written in so many `pieces`."""
    height, width, _ = values.shape
    deflated = zlib.compress(rows_of(values, depth, interlaced))
    size = -(-len(deflated) // pieces)
    data = [chunk(b"IDAT", deflated[i : i + size]) for i in range(0, len(deflated), size)]
    first = ihdr(width, height, depth, colour, int(interlaced))
    return assembled(first, *before, *data, *after)


def rows_of(values: NDArray[np.integer], depth: int, interlaced: bool) -> bytes:
    """Rows as they are deflated, pass by pass; their filters take turns."""
    height, width, _ = values.shape
    if not interlaced:
        return _filtered(values, depth)
    passes = np.tile(ADAM7, (height // 8 + 1, width // 8 + 1))[:height, :width]
    whole = b""
    for number in range(1, 8):
        rows = (passes == number).any(axis=1)
        columns = (passes == number).any(axis=0)
        if rows.any() and columns.any():
            # Pixels of one pass form a grid, but those of others may lie in its rows.
            rows = (passes[:, columns] == number).all(axis=1)
            columns = (passes[rows] == number).any(axis=0)
            whole += _filtered(values[rows][:, columns], depth)
    return whole


def exif(orientation: int, order: str = ">", kind: int = 3) -> bytes:
    """An EXIF block that says the camera's maker and the orientation."""
    form = {1: "B3x", 3: "H2x", 4: "I"}[kind]
    mark = {">": b"MM", "<": b"II"}[order]
    maker = struct.pack(f"{order}HHI4s", 0x010F, 2, 4, b"abc\0")
    turned = struct.pack(f"{order}HHI{form}", 0x0112, kind, 1, orientation)
    return mark + struct.pack(f"{order}HIH", 42, 8, 2) + maker + turned + bytes(4)


def _filtered(values: NDArray[np.integer], depth: int) -> bytes:
    """Packed rows, each behind its filter; the first two kinds need no more than a difference."""
    step = max(1, values.shape[2] * depth // 8)
    whole = b""
    for number, row in enumerate(values):
        packed = _packed(row.ravel(), depth)
        if number % 2:
            left = np.concatenate([np.zeros(step, np.uint8), packed[:-step]])[: len(packed)]
            packed = packed - left
        whole += bytes([number % 2]) + packed.tobytes()
    return whole


def _packed(samples: NDArray[np.integer], depth: int) -> NDArray[np.uint8]:
    """Bytes of one row, the first sample in the highest bits."""
    if depth == 16:
        return np.frombuffer(samples.astype(">u2").tobytes(), np.uint8)
    bits = np.unpackbits(samples.astype(np.uint8)[:, None], axis=1)[:, 8 - depth :]
    return np.packbits(bits.ravel())
