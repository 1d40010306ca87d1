"""PNGs as tokens, with every refusal as the error that a client is told."""

import numpy as np

from models.files.modes import picture_levels
from models.files.pictures import to_tokens
from models.schema.config import ModelConfig
from models.schema.errors import (
    PictureDamageError,
    PictureDepthError,
    PictureError,
    PictureShapeError,
    PictureSizeError,
)
from service.errors import BadRequest, InvalidRequest, MalformedBody, TooLarge
from service.images.upload import Upload
from service.jobs import Tokens


def decode_png(part: Upload, config: ModelConfig, max_pixels: int) -> Tokens:
    """Tokens `[H, W, C]` of one PNG.

    Raises MalformedBody (unreadable), TooLarge (past `max_pixels`, or too long a file for its
    pixels), and InvalidRequest of the codes wrong-image-shape (also for colours in grey and for
    transparency), wrong-dtype (16 bits) and invalid-pixel-value.
    """
    height, width, channels = config.image_shape
    try:
        levels = picture_levels(part.content, max_pixels, channels, (height, width))
    except PictureError as error:
        raise told(part, error) from error
    tokens, off = to_tokens(levels, config.vocabulary)
    if off.any():
        where = tuple(int(i) for i in np.argwhere(off)[0])
        raise InvalidRequest.at(
            part.label,
            f"pixel value {levels[where]} at {list(where)} (row, column, channel) is none of "
            f"round(255 v / {config.vocabulary - 1}) for v in 0..{config.vocabulary - 1}",
            "invalid-pixel-value",
        )
    return tokens


def told(part: Upload, error: PictureError) -> BadRequest:
    """The error that a client is told about a picture that cannot be taken."""
    match error:
        case PictureSizeError():
            return TooLarge("image-too-large", f"{part.label}: {error}")
        case PictureShapeError():
            return InvalidRequest.at(part.label, str(error), "wrong-image-shape")
        case PictureDepthError():
            return InvalidRequest.at(part.label, str(error), "wrong-dtype")
        case PictureDamageError():
            return MalformedBody(f"{part.label}: {error}")
    raise error
