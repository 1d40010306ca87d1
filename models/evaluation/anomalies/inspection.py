"""The evaluation of verdicts on pictures of good and of defective parts, beside baselines."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from models.anomaly.power import Power, auroc
from models.evaluation.anomalies.baselines import Detector, Judged
from models.evaluation.anomalies.cut import Collection, Cut
from models.evaluation.anomalies.overlap import Overlaps
from models.evaluation.anomalies.roc import LEVEL, RESAMPLES, Interval
from models.evaluation.measurement import EvaluationRecord, Measurement

Scores = NDArray[np.float64]
VERDICTS = "verdicts"


class Found(EvaluationRecord):
    """The separation of defective tiles, pictures and pixels from good ones by one detector.

    Intervals resample pictures, good and defective ones separately. A picture's score is its
    largest tile's.
    """

    tiles: Interval = Field(
        description="AUROC of tiles; one with a pixel of a defect is defective."
    )
    pictures: Interval = Field(description="AUROC of pictures.")
    overlap: Interval | None = Field(description="AU-PRO up to 30 % false alarms, if it has maps.")


class Inspection(EvaluationRecord):
    """The figures of a checkpoint's verdicts and of each baseline, by name."""

    checkpoint: str
    evaluations: int
    good: int
    defective: int
    tiles: int
    alpha: float
    false_alarms: Measurement = Field(description="Share of the good pictures' tiles flagged.")
    found: dict[str, Found]
    power: Power | None


def compare(collection: Collection, detectors: dict[str, Detector], seed: int) -> dict[str, Found]:
    """Measure every detector on the same pictures."""
    return {
        name: measure(collection, [detector(cut.tiles) for cut in _all(collection)], seed)
        for name, detector in detectors.items()
    }


def measure(collection: Collection, judged: Sequence[Judged], seed: int) -> Found:
    """Measure what a detector said of the good and then of the defective pictures."""
    cuts, count = _all(collection), len(collection.good)
    marked = [cut.marked for cut in cuts]
    scores = [one.scores for one in judged]
    stitched = [
        cut.stitch(one.maps) for cut, one in zip(cuts, judged, strict=True) if one.maps is not None
    ]
    overlaps = Overlaps(stitched, [cut.mask for cut in cuts]) if stitched else None
    most = np.array([one.max() for one in scores])
    dice = np.random.Generator(np.random.PCG64(seed))

    def tiles(chosen: NDArray[np.int64]) -> float:
        some, labels = (np.concatenate([part[one] for one in chosen]) for part in (scores, marked))
        return auroc(some[~labels], some[labels])

    def pictures(chosen: NDArray[np.int64]) -> float:
        return auroc(most[chosen[chosen < count]], most[chosen[chosen >= count]])

    everything = np.arange(len(cuts))
    drawn = [
        np.concatenate(
            [dice.integers(0, count, count), dice.integers(count, len(cuts), len(cuts) - count)]
        )
        for _ in range(RESAMPLES)
    ]
    return Found(
        tiles=_interval(tiles(everything), [tiles(one) for one in drawn]),
        pictures=_interval(pictures(everything), [pictures(one) for one in drawn]),
        overlap=None
        if overlaps is None
        else _interval(overlaps.area(), [overlaps.area(one) for one in drawn]),
    )


def inspection_table(found: Inspection) -> str:
    """Return the figures in Markdown."""
    lines = [
        f"{found.false_alarms} of the tiles of {found.good} good pictures flagged at alpha "
        f"{found.alpha}; {found.defective} defective pictures, {found.tiles} tiles in all, "
        f"{found.evaluations} evaluations a tile",
        "",
        "| detector | AUROC of tiles | AUROC of pictures | AU-PRO |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {one.tiles} | {one.pictures} | {one.overlap or 'none'} |"
        for name, one in found.found.items()
    ]
    if found.power is not None:
        lines += ["", f"Power check: {found.power.summary}."]
    return "\n".join(lines)


def _all(collection: Collection) -> list[Cut]:
    return [*collection.good, *collection.defective]


def _interval(value: float, again: Sequence[float]) -> Interval:
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(again, [tail, 1 - tail]).tolist()
    return Interval(value=value, low=low, high=high)
