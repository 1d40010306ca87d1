"""Verdicts on whole pictures: the scores of a picture's tiles become one, which is ranked among
those of calibration pictures. Torch-free.

The promise is about pictures: of good ones at most the share alpha is flagged, although the tiles
of one picture depend on each other.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

from models.anomaly.conformal import FAILED, p_value, smallest_alpha
from models.anomaly.readings import Reading
from models.files.pictures import Bytes
from models.preprocessing.tiles import Tiling

if TYPE_CHECKING:
    from models.anomaly.kept import AnyCalibration
    from models.anomaly.ranked import Verdict

Scores = NDArray[np.float64]
Aggregate = Literal["max", "top-3", "mean", "mean-odds"]


def _top_3(scores: Scores) -> float:
    return float(np.sort(scores)[-3:].mean())


def _mean_odds(scores: Scores) -> float:
    """Return log mean exp of scores: if they are log-odds of a defect, that of a defect in any one
    of the tiles, each as likely to have it. A picture of many tiles is not stranger for that."""
    return float(np.logaddexp.reduce(scores) - math.log(len(scores)))


AGGREGATES: dict[Aggregate, Callable[[Scores], float]] = {
    "max": lambda scores: float(scores.max()),
    "top-3": _top_3,
    "mean": lambda scores: float(scores.mean()),
    "mean-odds": _mean_odds,
}


class PictureReference(BaseModel):
    """The calibration pictures that the p-values of pictures rest on."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rule: str = Field(description="Digest of the rule that made tiles of the pictures.")
    aggregate: Aggregate = Field(
        description="The way in which the scores of a picture's tiles become one."
    )
    pictures: NonNegativeInt
    failed: NonNegativeInt
    sha256: str = Field(description="SHA-256 of the sorted digests of the pictures.")
    density_pictures: NonNegativeInt
    density_sha256: str = Field(description="SHA-256 of those of the density's pictures.")
    same_source: bool = Field(
        description="True if they come from the folder that the checkpoint was trained on."
    )
    scores: tuple[float, ...] = Field(
        description="Scores of the calibration pictures that were solved, ascending."
    )

    @model_validator(mode="after")
    def _adds_up(self) -> "PictureReference":
        if len(self.scores) + self.failed != self.pictures:
            raise ValueError("scores and failed pictures must add up to the pictures")
        if list(self.scores) != sorted(self.scores):
            raise ValueError("scores must be in ascending order")
        return self

    @property
    def smallest_alpha(self) -> float:
        """The smallest alpha at which a picture can be flagged."""
        return smallest_alpha(self.pictures)

    def p_value(self, score: float) -> float:
        """Return the p-value of a picture's score."""
        return p_value(score, np.array([*self.scores, *[FAILED] * self.failed], np.float64))


@dataclass(frozen=True, slots=True)
class PictureVerdict:
    """The verdict on a picture, or why it has no score, and the verdicts on its tiles."""

    p_value: float
    tiles: "tuple[Verdict, ...]"
    score: float | None = None
    reason: str | None = None


def picture_scores(
    calibration: "AnyCalibration",
    aggregate: Aggregate,
    readings: Sequence[Reading],
    tiles: Bytes,
    tiling: Tiling,
) -> list[float]:
    """Return one score for each picture, infinite where a tile was not solved.

    `readings` and `tiles` `[N, H, W, C]` are those of all pictures, one after another.
    """
    verdicts = calibration.judge(readings, tiles)
    return [_aggregate(aggregate, verdicts[part]) for part in tiling.slices()]


def judge_pictures(
    calibration: "AnyCalibration", readings: Sequence[Reading], tiles: Bytes, tiling: Tiling
) -> list[PictureVerdict]:
    """Return the verdicts on pictures from the readings of their tiles `[N, H, W, C]`."""
    reference = calibration.pictures
    assert reference is not None
    verdicts = calibration.judge(readings, tiles)
    found = []
    for part in tiling.slices():
        some = tuple(verdicts[part])
        score = _aggregate(reference.aggregate, some)
        if math.isfinite(score):
            found.append(PictureVerdict(reference.p_value(score), some, score))
        else:
            reason = next(tile.reason for tile in some if tile.reason is not None)
            found.append(PictureVerdict(reference.p_value(score), some, reason=reason))
    return found


def _aggregate(name: Aggregate, tiles: "Sequence[Verdict]") -> float:
    scores = [FAILED if tile.score is None else tile.score for tile in tiles]
    return AGGREGATES[name](np.array(scores, np.float64))
