"""The separation of defective tiles, pictures and pixels from good ones, by any detector."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from models.anomaly.pictures import AGGREGATES, Aggregate
from models.anomaly.power import auroc
from models.evaluation.anomalies.baselines import Judged
from models.evaluation.anomalies.bootstrap import Places, Resamples, Scores
from models.evaluation.anomalies.collection import Collection
from models.evaluation.anomalies.overlap import Overlaps
from models.evaluation.anomalies.roc import Interval
from models.evaluation.measurement import EvaluationRecord
from models.preprocessing.tiles import Tiling
from models.schema.preprocessing import Size


class Found(EvaluationRecord):
    """The separation of defective tiles, pictures and pixels from good ones by one detector.

    Intervals resample pictures, good and defective ones separately.
    """

    pictures: Interval = Field(description="AUROC of pictures.")
    tiles: Interval | None = Field(
        description="AUROC of tiles; one with a pixel of a defect is defective. None without masks."
    )
    overlap: Interval | None = Field(
        description="AU-PRO up to 30 % false alarms, if there are masks and the detector has maps."
    )


def measure(
    collection: Collection, judged: Judged, aggregate: Aggregate, resamples: Resamples
) -> Found:
    """Measure what a detector said of the tiles of a collection."""
    pictures = resamples.auroc(aggregated(judged.scores, collection.tiling, aggregate))
    masks = collection.masks
    if masks is None:
        return Found(pictures=pictures, tiles=None, overlap=None)
    slices, marked = collection.tiling.slices(), collection.marked(masks)
    scores, labels = ([one[part] for part in slices] for one in (judged.scores, marked))

    def tiles(chosen: Places) -> float:
        some, strange = (np.concatenate([one[at] for at in chosen]) for one in (scores, labels))
        return auroc(some[~strange], some[strange])

    overlap = None
    if judged.maps is not None:
        covered = [mask[collection.covered(Size(*mask.shape))] for mask in masks]
        overlap = resamples.interval(Overlaps(collection.stitch(judged.maps), covered).area)
    return Found(pictures=pictures, tiles=resamples.interval(tiles), overlap=overlap)


def aggregated(scores: NDArray[np.float64], tiling: Tiling, aggregate: Aggregate) -> Scores:
    """Return the scores of pictures from those of their tiles `[N]`."""
    return np.array([AGGREGATES[aggregate](scores[part]) for part in tiling.slices()])
