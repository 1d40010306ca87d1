"""Verdicts on photographs, from those on their tiles."""

import math
from collections.abc import Sequence

from models.anomaly.picture_heat import picture_heat
from models.anomaly.pictures import PictureVerdict
from models.anomaly.ranked import Verdict
from models.anomaly.readings import Reading
from models.preprocessing.stitching import paste
from service.contracts.photographs import TilePlace, pictures, places
from service.kinds.anomalies.contract import ImageVerdict, TileVerdict
from service.kinds.anomalies.strange_places import heatmap, regions
from service.kinds.anomalies.task import AnomalyTask


def picture_verdicts(
    verdicts: Sequence[PictureVerdict], readings: Sequence[Reading], task: AnomalyTask
) -> list[ImageVerdict]:
    """Return the verdicts on photographs as an answer has them."""
    tiling = task.tiling
    assert tiling is not None
    rule, found = tiling.rule, []
    rows = zip(verdicts, pictures(tiling), tiling.sizes, tiling.slices(), strict=True)
    for index, (verdict, picture, size, part) in enumerate(rows):
        where = places(rule, size) if task.tiles else []
        scaled, tiles = rule.scaled(size), task.images[part]
        heat = None
        if verdict.reason is None:
            heat = picture_heat(task.calibration, readings[part], tiles, rule, scaled)
        strangest = max(verdict.tiles, key=lambda tile: _height(tile))
        found.append(
            ImageVerdict(
                index=index,
                status="ok" if verdict.reason is None else "failed",
                score=verdict.score,
                p_value=verdict.p_value,
                is_anomaly=verdict.p_value <= task.alpha,
                statistics=strangest.statistics or {},
                deviations=task.calibration.deviations(strangest),
                picture=picture,
                tiles=tuple(map(_tile, verdict.tiles, where)),
                regions=regions(task, heat, size),
                heatmap=heatmap(task, heat, paste(tiles, rule, scaled), size),
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
