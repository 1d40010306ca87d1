"""Parts of a request as tokens, whichever format each part has."""

from models.schema.config import ModelConfig
from service.images.npy import count_npy, decode_npy
from service.images.png import decode_png
from service.images.upload import Upload
from service.jobs import Tokens


def count_images(part: Upload) -> int:
    """Number of images that a part declares; none is decoded.

    Raises MalformedBody, UnsupportedMediaType, InvalidRequest.
    """
    return 1 if part.form == "PNG" else count_npy(part)


def decode(part: Upload, config: ModelConfig, max_pixels: int) -> Tokens:
    """Tokens `[N, H, W, C]` of one part.

    Raises MalformedBody (unreadable), UnsupportedMediaType (of another format), TooLarge (more
    than `max_pixels`), and InvalidRequest of the codes wrong-image-shape, wrong-dtype and
    invalid-pixel-value.
    """
    if part.form == "PNG":
        return decode_png(part, config, max_pixels)[None]
    return decode_npy(part, config)
