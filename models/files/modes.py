"""Conversion of pictures to the channels of a model, only where the conversion loses nothing.

A PNG is decoded (`png.decode`), turned upright (`orientation.upright`) and converted
(`to_channels`); the caller then compares its levels with the model's (`pictures.to_tokens`).
"""

import struct

import numpy as np
from numpy.typing import NDArray

from models.files.orientation import upright
from models.files.png import (
    GREY,
    GREY_ALPHA,
    PALETTE,
    Header,
    Png,
    decode,
    read_header,
    read_png,
)
from models.schema.errors import (
    PictureDamageError,
    PictureDepthError,
    PictureShapeError,
    PictureSizeError,
)

Bytes = NDArray[np.uint8]
OPAQUE = 255
# Pillow's name, and a word, for the pixels of a model by its number of channels.
_PILLOW = {1: "L", 3: "RGB"}
_WORDS = {1: "grey", 3: "RGB"}


def picture_levels(
    content: bytes,
    max_pixels: int,
    channels: int | None = None,
    size: tuple[int, int] | None = None,
) -> Bytes:
    """Levels `[H, W, C]` of a PNG, upright, with a model's `channels` and `size` (H, W).

    Without `channels`, C is 1 for a picture that is stored as grey and 3 for any other. Without
    `size`, every size is accepted. Raises PictureDamageError for an unreadable file,
    PictureSizeError for more than `max_pixels`, PictureDepthError for more than 8 bits a value,
    and PictureShapeError for another size and for a conversion that would lose something.
    """
    header = read_header(content)
    if header.width * header.height > max_pixels:
        found = f"{header.width}x{header.height}"
        raise PictureSizeError(f"{found} is more than {max_pixels} pixels")
    if channels is None:
        channels = 1 if header.colour in (GREY, GREY_ALPHA) else 3
    # The orientation may exchange height and width, and is not known yet.
    if size is not None and {header.height, header.width} != set(size):
        raise _misshapen((header.height, header.width, header.samples), (*size, channels))
    if header.depth > 8:
        raise PictureDepthError(
            f"{header.mode}, expected 8 bits a value; {_advice(header, channels)}"
        )
    png = read_png(content, header)
    levels = to_channels(upright(decode(png), png.orientation), png, channels)
    if size is not None and levels.shape[:2] != size:
        raise _misshapen(levels.shape, (*size, channels))
    return levels


def to_channels(values: Bytes, png: Png, channels: int) -> Bytes:
    """Values `[H, W, samples]` of `png` as levels `[H, W, channels]`.

    Grey and R = G = B are converted into each other, and alpha is dropped where every pixel is
    opaque. Raises PictureShapeError for colours where grey is expected and for transparency, and
    PictureDamageError for a palette or a tRNS chunk that does not fit the picture.
    """
    header = png.header
    colours, alpha = _resolved(values, png)
    if channels not in _PILLOW:
        if header.colour == PALETTE or header.samples != channels:
            raise PictureShapeError(
                f"{header.mode}, expected {channels} channels: send a .npy of tokens"
            )
        return values
    if (alpha != OPAQUE).any():
        raise PictureShapeError(
            f"{header.mode} with transparent pixels, expected opaque {_WORDS[channels]}; put it on "
            f"its background: {_composed(header, channels)}"
        )
    if colours.shape[2] == channels:
        return colours
    if channels == 3:
        return colours.repeat(3, axis=2)
    grey = colours[..., :1]
    if (colours != grey).any():
        raise PictureShapeError(
            f"image shape {list(colours.shape)}: {header.mode} with colours, expected grey, or "
            f"red, green and blue alike; {_advice(header, channels)}"
        )
    return grey


def _resolved(values: Bytes, png: Png) -> tuple[Bytes, Bytes]:
    """Colours or greys `[H, W, 3 or 1]`, and the opacity `[H, W]` of each pixel, 255 for opaque."""
    header = png.header
    if header.colour == PALETTE:
        opacity = np.full(len(png.palette), OPAQUE, np.uint8)
        known = np.frombuffer(png.transparency or b"", np.uint8)
        places = values[..., 0]
        if len(known) > len(opacity) or places.max() >= len(opacity):
            raise PictureDamageError("a damaged PNG: it has colours past the end of its palette")
        opacity[: len(known)] = known
        return png.palette[places], opacity[places]
    if header.samples in (2, 4):
        if png.transparency is not None:
            raise PictureDamageError("a forged PNG: tRNS beside alpha")
        return values[..., :-1], values[..., -1]
    if png.transparency is not None:
        clear = _transparent_level(png.transparency, header)
        return values, np.where((values == clear).all(axis=2), np.uint8(0), np.uint8(OPAQUE))
    return values, np.full(values.shape[:2], OPAQUE, np.uint8)


def _transparent_level(stored: bytes, header: Header) -> list[int]:
    """The levels, one for each sample, of the pixels that a tRNS chunk makes transparent."""
    try:
        found = struct.unpack(f">{header.samples}H", stored)
    except struct.error as error:
        raise PictureDamageError("a damaged PNG: its tRNS does not fit its header") from error
    most = 2**header.depth - 1
    return [(value & most) * (255 // most) for value in found]


def _advice(header: Header, channels: int) -> str:
    """One line of Python that converts such a picture to one that is accepted."""
    if channels not in _PILLOW:
        return "send a .npy of tokens"
    if header.samples in (2, 4):
        return f"put it on its background: {_composed(header, channels)}"
    if header.colour == GREY and header.depth > 8:
        # Pillow's own conversion would turn every level above 255 into white.
        return 'convert it: Image.fromarray((np.asarray(Image.open(f)) >> 8).astype("uint8"))'
    return f'convert it: Image.open(f).convert("{_PILLOW[channels]}")'


def _composed(header: Header, channels: int) -> str:
    size = header.width, header.height
    return (
        f'Image.alpha_composite(Image.new("RGBA", {size}, "white"), '
        f'Image.open(f).convert("RGBA")).convert("{_PILLOW[channels]}")'
    )


def _misshapen(found: tuple[int, ...], expected: tuple[int, ...]) -> PictureShapeError:
    return PictureShapeError(
        f"image shape {list(found)}, expected {list(expected)} (height, width, channels)"
    )
