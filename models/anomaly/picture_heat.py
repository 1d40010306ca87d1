"""The heat of a photograph, from that of its tiles. Torch-free."""

from collections.abc import Sequence

import numpy as np

from models.anomaly.conformal import FAILED
from models.anomaly.heatmap import Heatmap
from models.anomaly.kept import AnyCalibration
from models.anomaly.readings import Reading
from models.files.pictures import Bytes
from models.preprocessing.stitching import stitch
from models.preprocessing.tiles import Tiling
from models.schema.preprocessing import PictureRule, Size


def picture_heat(
    calibration: AnyCalibration,
    readings: Sequence[Reading],
    tiles: Bytes,
    rule: PictureRule,
    scaled: Size,
) -> Heatmap | None:
    """Return the stitched heat of a photograph that had the size `scaled` when it was cut into
    `tiles` `[N, H, W, C]`; None where a tile has none.

    Its scale is that of the calibration or, where each tile has its own, reaches over all of them.
    """
    maps = [calibration.heatmap(*pair) for pair in zip(readings, tiles, strict=True)]
    found = [one for one in maps if one is not None]
    if len(found) < len(maps):
        return None
    black, white = min(one.black for one in found), max(one.white for one in found)
    values = stitch([one.values for one in found], rule, scaled, outside=black)
    return Heatmap(values.astype(np.float64), black, white)


def picture_peaks(
    calibration: AnyCalibration, readings: Sequence[Reading], tiles: Bytes, tiling: Tiling
) -> list[float]:
    """Return the largest heat of each photograph, infinite where a tile was not solved."""
    peaks = []
    for size, part in zip(tiling.sizes, tiling.slices(), strict=True):
        scaled = tiling.rule.scaled(size)
        heat = picture_heat(calibration, readings[part], tiles[part], tiling.rule, scaled)
        peaks.append(FAILED if heat is None else float(heat.values.max()))
    return peaks
