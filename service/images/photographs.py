"""Photographs as tiles of tokens, for checkpoints with preprocessing."""

import threading
from collections.abc import Sequence

from models.preprocessing.tiles import count_tiles as tiles_of
from models.preprocessing.tiles import cut_all, read_picture
from models.schema.errors import PictureError
from models.schema.preprocessing import PictureRule
from service.images.png import told
from service.images.upload import Upload
from service.jobs import Decoded

# A decoded photograph has a hundred megabytes at most; so many are not held at once.
_ONE_AT_A_TIME = threading.Lock()


def count_tiles(parts: Sequence[Upload], rule: PictureRule, max_pixels: int) -> int:
    """Number of tiles of all photographs, by their headers; none is inflated.

    Raises MalformedBody (unreadable), TooLarge (more than `max_pixels`), and InvalidRequest of the
    codes wrong-image-shape (smaller than a tile, several pages) and wrong-dtype (16 bits).
    """
    total = 0
    for part in parts:
        try:
            total += tiles_of(part.content, rule, max_pixels)
        except PictureError as error:
            raise told(part, error) from error
    return total


def decode_photographs(parts: Sequence[Upload], rule: PictureRule, max_pixels: int) -> Decoded:
    """Tiles of all photographs, one photograph after another. Raises what `count_tiles` does."""
    pictures = []
    for part in parts:
        try:
            with _ONE_AT_A_TIME:
                pictures.append(read_picture(part.content, rule, max_pixels))
        except PictureError as error:
            raise told(part, error) from error
    return Decoded(*cut_all(pictures, rule))
