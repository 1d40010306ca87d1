"""Photographs of good and of defective parts, cut by a checkpoint's rule, with the defects'
masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.files.images import Tokens
from models.preprocessing.decode import decode
from models.preprocessing.folder import SUFFIXES, content
from models.preprocessing.levels import to_levels
from models.preprocessing.loading import LoadedPicture
from models.preprocessing.masks import plain_stem
from models.preprocessing.stitching import stitch
from models.preprocessing.tiles import Tiling, cut_all
from models.schema.errors import DataError, PictureError
from models.schema.preprocessing import PictureRule, Size

Maps = NDArray[np.float64]
Mask = NDArray[np.bool_]
HALF = 127


@dataclass(frozen=True)
class Collection:
    """The tiles `[N, H, W, C]` of `good` good photographs and then of the defective ones.

    `masks` has one `[height, width]` for each photograph, at the size at which it was cut and true
    where the defect is; it is None where defects are not marked.
    """

    tiles: Tokens
    tiling: Tiling
    good: int
    masks: Sequence[Mask] | None

    def marked(self, masks: Sequence[Mask]) -> NDArray[np.bool_]:
        """Return which tiles have a pixel of a defect, by the masks of all photographs, `[N]`."""
        rule = self.tiling.rule
        height, width = rule.tile
        return np.array(
            [
                mask[y : y + height, x : x + width].any()
                for mask in masks
                for y, x in rule.origins(Size(*mask.shape))
            ]
        )

    def stitch(self, maps: Maps) -> list[Maps]:
        """Return the maps of photographs from those of their tiles `[N, H, W]`, without the pixels
        that no tile covers."""
        rule, found = self.tiling.rule, list[Maps]()
        for size, part in zip(self.tiling.sizes, self.tiling.slices(), strict=True):
            scaled = rule.scaled(size)
            whole = stitch(maps[part], rule, scaled).astype(np.float64)
            found.append(whole[self.covered(scaled)])
        return found

    def covered(self, scaled: Size) -> tuple[slice, slice]:
        """Return the rows and columns of a scaled photograph that tiles cover."""
        rule = self.tiling.rule
        bottom, right = rule.origins(scaled)[-1]
        return slice(bottom + rule.tile[0]), slice(right + rule.tile[1])


def collect(
    good: Sequence[LoadedPicture],
    defective: Sequence[LoadedPicture],
    rule: PictureRule,
    masks: Path | None,
) -> Collection:
    """Cut photographs into tiles, and read the masks of the defective ones from a folder.

    A mask has its photograph's path and size; its suffix, and `_mask` before it, do not count.
    Raises DataError.
    """
    pictures = [one.picture for one in (*good, *defective)]
    tiles, tiling = cut_all(pictures, rule)
    if masks is None:
        return Collection(tiles, tiling, len(good), None)
    found = [np.zeros(one.picture.tokens.shape[:2], bool) for one in good]
    return Collection(tiles, tiling, len(good), found + _read_masks(defective, rule, masks))


def _read_masks(pictures: Sequence[LoadedPicture], rule: PictureRule, folder: Path) -> list[Mask]:
    files = {
        _key(path.relative_to(folder)): path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES
    }
    grey = rule.model_copy(update={"mode": "grey"})
    found = []
    for one in pictures:
        path = files.get(_key(Path(one.name)))
        if path is None:
            raise DataError(f"{one.name} has no mask in {folder}; a mask has its picture's path")
        try:
            image = decode(content(path))
            if (image.height, image.width) != one.picture.size:
                raise DataError(f"{path}: a mask of another size than its picture")
            found.append(to_levels(image, grey)[..., 0] > HALF)
        except PictureError as error:
            raise DataError(f"{path}: {error}") from error
    return found


def _key(path: Path) -> tuple[Path, str]:
    return path.parent, plain_stem(path)
