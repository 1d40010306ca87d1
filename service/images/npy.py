"""Tokens as .npy, `[N, H, W, C]`, uint8: reading and writing."""

import io
import math

import numpy as np
from numpy.lib import format as npy

from models.schema.config import ModelConfig
from service.errors import InvalidRequest, MalformedBody
from service.images.upload import Upload
from service.jobs import Tokens

_VERSIONS = ((1, 0), (2, 0), (3, 0))
_LARGEST_AXIS = 2**53


def count_npy(part: Upload) -> int:
    """Number of images that a part declares; none is decoded. Raises MalformedBody,
    InvalidRequest."""
    shape, _, _ = _header(part)
    if not shape:
        raise _not_a_batch(part, shape)
    return shape[0]


def decode_npy(part: Upload, config: ModelConfig) -> Tokens:
    """Tokens `[N, H, W, C]` of one part.

    Raises MalformedBody, and InvalidRequest of the codes wrong-image-shape, wrong-dtype and
    invalid-pixel-value.
    """
    shape, fortran, start = _header(part)
    if len(shape) != 4:
        raise _not_a_batch(part, shape)
    if shape[1:] != config.image_shape:
        raise InvalidRequest.at(
            part.label,
            f"image shape {list(shape[1:])}, expected {list(config.image_shape)} "
            "(height, width, channels)",
            "wrong-image-shape",
        )
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


def encode_npy(images: Tokens) -> bytes:
    """Tokens `[N, H, W, C]` as a .npy."""
    file = io.BytesIO()
    npy.write_array(file, np.ascontiguousarray(images), allow_pickle=False)
    return file.getvalue()


def _header(part: Upload) -> tuple[tuple[int, ...], bool, int]:
    """Shape, whether in Fortran order, and where the data begins."""
    file = io.BytesIO(part.content)
    try:
        version = npy.read_magic(file)
        if version not in _VERSIONS:
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
