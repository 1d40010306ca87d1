"""Pixels on the wire and tokens inside: PNG and .npy, read and judged.

A PNG carries round(255 v / (V - 1)) for token v, a .npy the tokens themselves, `[N, H, W, C]`.
Sizes are read from headers and judged before anything is inflated or allocated.
"""

import io
import math
import struct
import zlib
from typing import Literal, NamedTuple

import numpy as np
from numpy.lib import format as npy
from PIL import Image

from models.files.pictures import to_tokens
from models.schema.config import ModelConfig
from service.errors import InvalidRequest, MalformedBody, TooLarge
from service.jobs import Tokens

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
NPY_MAGIC = b"\x93NUMPY"
_CHUNK = struct.Struct(">I4s")
_CRC_BYTES = 4
_NPY_VERSIONS = ((1, 0), (2, 0), (3, 0))
_LARGEST_AXIS = 2**53
# Interlacing adds filter bytes to the rows of its seven passes.
_INTERLACE_SLACK = 2
_IHDR = struct.Struct(">I4sIIBB")
_COLOURS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"}
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}


class Upload(NamedTuple):
    """Uploaded bytes, and what the client may call them: `images[3]`."""

    label: str
    content: bytes

    @property
    def form(self) -> Literal["png", "npy"]:
        """Told by the first bytes. Raises MalformedBody."""
        if self.content.startswith(PNG_MAGIC):
            return "png"
        if self.content.startswith(NPY_MAGIC):
            return "npy"
        raise MalformedBody(f"{self.label}: neither a PNG nor a .npy")


def count_images(part: Upload) -> int:
    """How many images a part declares; decodes none. Raises MalformedBody, InvalidRequest."""
    if part.form == "png":
        return 1
    shape, _, _ = _npy_header(part)
    if not shape:
        raise _not_a_batch(part, shape)
    return shape[0]


def decode(part: Upload, config: ModelConfig, max_pixels: int) -> Tokens:
    """Tokens `[N, H, W, C]` of one part.

    Raises MalformedBody (unreadable), TooLarge (more than `max_pixels`), and InvalidRequest of
    the codes wrong-image-shape, wrong-dtype and invalid-pixel-value.
    """
    if part.form == "png":
        return _decode_png(part, config, max_pixels)[None]
    return _decode_npy(part, config)


def encode_npy(images: Tokens) -> bytes:
    """Tokens `[N, H, W, C]` as a .npy."""
    file = io.BytesIO()
    npy.write_array(file, np.ascontiguousarray(images), allow_pickle=False)
    return file.getvalue()


def _decode_png(part: Upload, config: ModelConfig, max_pixels: int) -> Tokens:
    _check_png_header(part, config, max_pixels)
    _check_png_chunks(part, config)
    try:
        with Image.open(io.BytesIO(part.content), formats=["PNG"]) as image:
            image.verify()
        with Image.open(io.BytesIO(part.content), formats=["PNG"]) as image:
            pixels = np.asarray(image).reshape(config.image_shape)
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        raise MalformedBody(f"{part.label}: not a readable PNG") from error
    tokens, off = to_tokens(pixels, config.vocabulary)
    if off.any():
        where = tuple(int(i) for i in np.argwhere(off)[0])
        raise InvalidRequest.at(
            part.label,
            f"pixel value {pixels[where]} at {list(where)} (row, column, channel) is none of "
            f"round(255 v / {config.vocabulary - 1}) for v in 0..{config.vocabulary - 1}",
            "invalid-pixel-value",
        )
    return tokens


def _check_png_header(part: Upload, config: ModelConfig, max_pixels: int) -> None:
    """Judge size and kind of pixels by the first chunk, before anything is inflated."""
    if len(part.content) < len(PNG_MAGIC) + _IHDR.size:
        raise MalformedBody(f"{part.label}: truncated PNG")
    _, kind, width, height, depth, colour = _IHDR.unpack_from(part.content, len(PNG_MAGIC))
    if kind != b"IHDR" or colour not in _COLOURS:
        raise MalformedBody(f"{part.label}: not a readable PNG")
    if width * height > max_pixels:
        raise TooLarge(
            "image-too-large",
            f"{part.label}: {width}x{height} is more than {max_pixels} pixels",
        )
    if depth != 8 or colour not in _CHANNELS:
        raise InvalidRequest.at(
            part.label,
            f"{depth}-bit {_COLOURS[colour]}; only 8-bit grey and RGB are read",
            "wrong-dtype",
        )
    _check_shape(part, (height, width, _CHANNELS[colour]), config)


def _check_png_chunks(part: Upload, config: ModelConfig) -> None:
    """One header, one still image, no more pixels than declared; inflates no more than that."""
    position, kinds = len(PNG_MAGIC), list[bytes]()
    height, width, channels = config.image_shape
    room = _INTERLACE_SLACK * height * (1 + width * channels)
    inflater = zlib.decompressobj()
    try:
        while not kinds or kinds[-1] != b"IEND":
            length, kind = _CHUNK.unpack_from(part.content, position)
            data = part.content[position + _CHUNK.size : position + _CHUNK.size + length]
            kinds.append(kind)
            position += _CHUNK.size + length + _CRC_BYTES
            if kind == b"IDAT":
                room -= len(inflater.decompress(data, room + 1))
                if room < 0:
                    raise MalformedBody(f"{part.label}: more pixels than the header declares")
    except (struct.error, zlib.error) as error:
        raise MalformedBody(f"{part.label}: truncated or damaged PNG") from error
    if position > len(part.content) or kinds.count(b"IHDR") != 1 or b"acTL" in kinds:
        raise MalformedBody(f"{part.label}: not a PNG of one still image")


def _check_shape(part: Upload, shape: tuple[int, ...], config: ModelConfig) -> None:
    if shape != config.image_shape:
        raise InvalidRequest.at(
            part.label,
            f"image shape {list(shape)}, expected {list(config.image_shape)} "
            "(height, width, channels)",
            "wrong-image-shape",
        )


def _npy_header(part: Upload) -> tuple[tuple[int, ...], bool, int]:
    """Shape, whether in Fortran order, and where the data begins."""
    file = io.BytesIO(part.content)
    try:
        version = npy.read_magic(file)
        if version not in _NPY_VERSIONS:
            raise ValueError(f"version {version}")
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except Exception as error:  # The header is Python text: its parser raises whatever it likes.
        raise MalformedBody(f"{part.label}: not a readable .npy header") from error
    if dtype != np.uint8:
        raise InvalidRequest.at(part.label, f"dtype {dtype}, expected uint8", "wrong-dtype")
    if not all(type(size) is int and 0 <= size <= _LARGEST_AXIS for size in shape):
        raise MalformedBody(
            f"{part.label}: a size in the .npy header is negative, huge or no number"
        )
    return shape, fortran, file.tell()


def _not_a_batch(part: Upload, shape: tuple[int, ...]) -> InvalidRequest:
    words = f"{len(shape)} axes, expected [N, H, W, C]"
    return InvalidRequest.at(part.label, words, "wrong-image-shape")


def _decode_npy(part: Upload, config: ModelConfig) -> Tokens:
    shape, fortran, start = _npy_header(part)
    if len(shape) != 4:
        raise _not_a_batch(part, shape)
    _check_shape(part, shape[1:], config)
    declared, present = math.prod(shape), len(part.content) - start
    if declared != present:
        raise MalformedBody(f"{part.label}: {declared} bytes declared, {present} present")
    flat = np.frombuffer(part.content, np.uint8, offset=start)
    tokens = np.ascontiguousarray(flat.reshape(shape, order="F" if fortran else "C"))
    if tokens.size and tokens.max() >= config.vocabulary:
        where = [int(i) for i in np.argwhere(tokens >= config.vocabulary)[0]]
        raise InvalidRequest.at(
            part.label,
            f"token {tokens[tuple(where)]} at {where} (image, row, column, channel) is past "
            f"{config.vocabulary - 1}",
            "invalid-pixel-value",
        )
    return tokens
