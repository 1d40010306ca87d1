"""Pictures of good and of defective parts, cut into tiles, with the masks of the defects."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from models.files.images import Tokens
from models.schema.config import ModelConfig
from models.schema.errors import DataError

Maps = NDArray[np.float64]
Mask = NDArray[np.bool_]
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
GOOD, DEFECT, MASK = "good", "defect", "mask"
HALF = 127


@dataclass(frozen=True)
class Cut:
    """A picture as tiles `[n, H, W, C]` at the places `[n, 2]` of their upper left corners, and the
    mask `[height, width]` of its defect, which is empty in a good picture."""

    tiles: Tokens
    places: NDArray[np.int64]
    mask: Mask

    def stitch(self, maps: Maps) -> Maps:
        """Return the mean `[height, width]` of tiles' maps `[n, H, W]` where they overlap."""
        total, count = np.zeros(self.mask.shape), np.zeros(self.mask.shape)
        height, width = maps.shape[1:]
        for (y, x), one in zip(self.places.tolist(), maps, strict=True):
            total[y : y + height, x : x + width] += one
            count[y : y + height, x : x + width] += 1
        return total / count

    @property
    def marked(self) -> Mask:
        """The tiles that have a pixel of the defect, as booleans `[n]`."""
        height, width = self.tiles.shape[1:3]
        return np.array(
            [self.mask[y : y + height, x : x + width].any() for y, x in self.places.tolist()]
        )


@dataclass(frozen=True)
class Collection:
    """The good and the defective pictures of a folder."""

    good: Sequence[Cut]
    defective: Sequence[Cut]


def read_collection(folder: Path, config: ModelConfig, shrink: int) -> Collection:
    """Read `good`, `defect` and `mask` of a folder, with their sub-folders, and cut the pictures
    into tiles of the shape that a model of `config` takes.

    A mask has the path of its picture but for its suffix. Sides are divided by `shrink`; tiles do
    not overlap but for the last of a row or column, which ends with the picture. Raises DataError.
    """
    if config.vocabulary != 256 or config.image_shape[2] not in (1, 3):
        raise DataError("pictures are cut for models of 256 levels and one or three channels")
    good = [_cut(_read(path, config, shrink), None, config) for path in _files(folder / GOOD)]
    masks = {
        path.relative_to(folder / MASK).with_suffix(""): path for path in _files(folder / MASK)
    }
    defective = []
    for path in _files(folder / DEFECT):
        name = path.relative_to(folder / DEFECT).with_suffix("")
        if name not in masks:
            raise DataError(f"{path}: no mask {MASK}/{name}")
        pixels = _read(path, config, shrink)
        mask = _read(masks[name], config, shrink)[..., 0] > HALF
        if mask.shape != pixels.shape[:2]:
            raise DataError(f"{masks[name]}: a mask of another size than its picture")
        defective.append(_cut(pixels, mask, config))
    return Collection(good, defective)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise DataError(f"{folder}: no pictures")
    return found


def _read(path: Path, config: ModelConfig, shrink: int) -> Tokens:
    """Return a picture `[height, width, C]`, shrunk by means, no smaller than a tile."""
    height, width, channels = config.image_shape
    try:
        with Image.open(path) as file:
            picture = file.convert("L" if channels == 1 else "RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: {error}") from error
    size = max(width, round(picture.width / shrink)), max(height, round(picture.height / shrink))
    pixels = np.asarray(picture.resize(size, Image.Resampling.BOX))
    return pixels.reshape(*pixels.shape[:2], channels)


def _cut(pixels: Tokens, mask: Mask | None, config: ModelConfig) -> Cut:
    height, width, _ = config.image_shape
    places = [
        (y, x) for y in _starts(pixels.shape[0], height) for x in _starts(pixels.shape[1], width)
    ]
    tiles = np.stack([pixels[y : y + height, x : x + width] for y, x in places])
    known = np.zeros(pixels.shape[:2], bool) if mask is None else mask
    return Cut(tiles, np.array(places), known)


def _starts(length: int, side: int) -> Iterator[int]:
    yield from range(0, length - side + 1, side)
    if length % side:
        yield length - side
