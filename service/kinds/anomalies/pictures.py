"""Verdicts on photographs, from those on their tiles."""

import base64
import math
from collections.abc import Sequence

import numpy as np

from models.anomaly.heatmap import Heatmap
from models.anomaly.pictures import PictureVerdict
from models.anomaly.ranked import Verdict
from models.anomaly.readings import Reading
from models.preprocessing.stitching import stitch
from models.schema.preprocessing import Size
from service.contracts.photographs import TilePlace, pictures, places
from service.kinds.anomalies.contract import ImageVerdict, TileVerdict
from service.kinds.anomalies.task import AnomalyTask


def picture_verdicts(
    verdicts: Sequence[PictureVerdict], readings: Sequence[Reading], task: AnomalyTask
) -> list[ImageVerdict]:
    """Return the verdicts on photographs as an answer has them."""
    tiling = task.tiling
    assert tiling is not None
    found = []
    rows = zip(verdicts, pictures(tiling), tiling.sizes, tiling.slices(), strict=True)
    for index, (verdict, picture, size, part) in enumerate(rows):
        where = places(tiling.rule, size) if task.tiles else []
        strangest = max(verdict.tiles, key=lambda tile: _height(tile))
        found.append(
            ImageVerdict(
                index=index,
                status="ok" if verdict.reason is None else "failed",
                score=verdict.score,
                p_value=verdict.p_value,
                is_anomaly=verdict.p_value <= task.alpha,
                statistics=strangest.statistics or {},
                picture=picture,
                tiles=tuple(map(_tile, verdict.tiles, where)),
                heatmap=_heatmap(task, readings, part, size) if task.heatmap else None,
                nfe=sum(reading.nfe for reading in readings[part]),
                reason=verdict.reason,
            )
        )
    return found


def _height(tile: Verdict) -> float:
    return math.inf if tile.score is None else tile.score


def _tile(verdict: Verdict, place: TilePlace) -> TileVerdict:
    return TileVerdict(
        place=place,
        status="ok" if verdict.reason is None else "failed",
        score=verdict.score,
        p_value=verdict.p_value,
        statistics=verdict.statistics or {},
        reason=verdict.reason,
    )


def _heatmap(task: AnomalyTask, readings: Sequence[Reading], part: slice, size: Size) -> str | None:
    """Stitch the maps of a photograph's tiles, in the scale of the calibration or, where it has
    none, up to the largest value; None where a tile has no map."""
    assert task.tiling is not None
    maps = [
        task.calibration.heatmap(reading, tile)
        for reading, tile in zip(readings[part], task.images[part], strict=True)
    ]
    found = [one for one in maps if one is not None]
    if len(found) < len(maps):
        return None
    values = stitch(
        np.stack([one.values.astype(np.float32) for one in found]), task.tiling.rule, size
    )
    whole = Heatmap(
        values.astype(np.float64),
        min(one.black for one in found),
        max(one.white for one in found),
    )
    return base64.b64encode(whole.npy() if task.heatmap == "raw" else whole.png()).decode()
