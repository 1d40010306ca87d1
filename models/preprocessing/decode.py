"""Photographs are decoded by Pillow, bounded by their headers before anything is inflated.

PNG, JPEG, BMP, TIFF and WebP are read. Of a phone's JPEG with several pictures the first counts;
animations and TIFFs of several pages are refused.
"""

import io
import warnings
from typing import BinaryIO, NamedTuple

from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from models.schema.errors import (
    PictureDamageError,
    PictureDepthError,
    PictureError,
    PictureShapeError,
    PictureSizeError,
)
from models.schema.preprocessing import Size

# Pillow reads a JPEG of several pictures as MPO.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
MOST_PIXELS = 32 << 20
_MODES = frozenset(("1", "L", "LA", "P", "PA", "RGB", "RGBA"))
_SEVERAL_ALLOWED = "MPO"
_ORIENTATION = 0x0112
_TIFF_SIZE = (257, 256)
# Orientations from 5 to 8 exchange height and width.
_UNDEFINED, _FIRST_TURNED, _MOST_ORIENTATION = 0, 5, 8

# Pillow warns of damaged EXIF and of truncated TIFFs, and goes on. A picture that may be turned or
# incomplete must not be scored, so these warnings are errors, for Pillow's modules alone.
for _category in (UserWarning, Image.DecompressionBombWarning):
    warnings.filterwarnings("error", category=_category, module=r"PIL\.")


class Header(NamedTuple):
    """Format, Pillow's mode, and the size of the upright picture."""

    form: str
    mode: str
    size: Size


def read_header(content: bytes | BinaryIO, max_pixels: int = MOST_PIXELS) -> Header:
    """Return the header of a picture, its bytes or a file; its pixels are not inflated.

    Raises PictureDamageError for what is no readable picture of `FORMATS`, PictureSizeError for
    more than `max_pixels`, PictureDepthError for more than 8 bits a value, and PictureShapeError
    for other colours than grey, RGB, palettes and alpha, and for several frames or pages. A PNG
    that says behind its pixels how it is turned is taken for upright here.
    """
    with _opened(content, max_pixels) as image:
        try:
            turned = _orientation(image) >= _FIRST_TURNED
            size = Size(image.height, image.width)
            if isinstance(image, TiffImagePlugin.TiffImageFile):
                # Pillow states the size of a TIFF that lies on its side as if it were upright.
                size = Size(*(int(image.tag_v2[tag]) for tag in _TIFF_SIZE))
        except PictureError:
            raise
        except Exception as error:  # Pillow's decoders raise errors of many classes.
            raise _damaged(error) from error
        form = "JPEG" if image.format == _SEVERAL_ALLOWED else str(image.format)
        return Header(form, image.mode, Size(*reversed(size)) if turned else size)


def decode(content: bytes, max_pixels: int = MOST_PIXELS) -> Image.Image:
    """Return a picture that is decoded and upright, in the mode that it is stored in.

    Raises what `read_header` does, and PictureDamageError also for truncated or damaged pixels and
    for an orientation that is none.
    """
    with _opened(content, max_pixels) as image:
        try:
            image.load()
            _orientation(image, loaded=True)
            return ImageOps.exif_transpose(image)
        except PictureError:
            raise
        except Exception as error:  # Pillow's decoders raise errors of many classes.
            raise _damaged(error) from error


def _opened(content: bytes | BinaryIO, max_pixels: int) -> Image.Image:
    try:
        file = io.BytesIO(content) if isinstance(content, bytes) else content
        image = Image.open(file, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureSizeError(f"it has more than {max_pixels} pixels") from error
    except Exception as error:  # Pillow's decoders raise errors of many classes.
        raise _damaged(error) from error
    try:
        _check(image, max_pixels)
    except PictureError:
        image.close()
        raise
    return image


def _check(image: Image.Image, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise PictureSizeError(
            f"{Size(image.height, image.width)} is more than {max_pixels} pixels"
        )
    if image.mode.startswith(("I", "F")):
        raise PictureDepthError(f"{image.mode}, more than 8 bits a value; convert it to 8 bits")
    if image.mode not in _MODES:
        raise PictureShapeError(f'{image.mode} colours; convert it: Image.open(f).convert("RGB")')
    if image.format != _SEVERAL_ALLOWED and _has_several(image):
        raise PictureShapeError(f"a {image.format} of several pictures; send one of them")


def _has_several(image: Image.Image) -> bool:
    if image.format != "TIFF":
        return int(getattr(image, "n_frames", 1)) > 1
    # To count the pages of a TIFF, Pillow would read all of them.
    try:
        image.seek(1)
    except EOFError:
        return False
    except Exception as error:  # Pillow's decoders raise errors of many classes.
        raise _damaged(error) from error
    return True


def _orientation(image: Image.Image, loaded: bool = False) -> int:
    """Return the orientation that a picture states. Raises PictureDamageError for one that is
    none."""
    # Pillow would inflate a PNG to find EXIF behind its pixels.
    if image.format == "PNG" and not loaded and "exif" not in image.info:
        return _UNDEFINED
    orientation = image.getexif().get(_ORIENTATION, _UNDEFINED)
    if orientation not in range(_MOST_ORIENTATION + 1):
        raise PictureDamageError(f"its orientation is {orientation}, none of 1 to 8")
    return int(orientation)


def _damaged(error: Exception) -> PictureDamageError:
    if isinstance(error, UnidentifiedImageError):
        return PictureDamageError(
            "no picture that can be read; PNG, JPEG, BMP, TIFF and WebP are read"
        )
    line = " ".join(str(error).split()) or type(error).__name__
    return PictureDamageError(f"a damaged picture: {line}")
