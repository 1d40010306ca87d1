"""The common part of all calibrations: their validity, and the scores that p-values rest on.

Torch-free.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

from models.anomaly.conformal import FAILED, p_value, smallest_alpha
from models.anomaly.heatmap import Heatmap
from models.anomaly.pictures import PictureReference
from models.anomaly.regions import Region
from models.anomaly.statistics import CODEC, codec_fingerprint
from models.schema.config import ModelConfig
from models.schema.errors import CheckpointError
from models.schema.manifest import Manifest

CALIBRATION = "calibration.json"
NOT_FINITE = "the score is not finite"
# The smallest p-value of 19 calibration images is 0.05: fewer flag nothing at the usual alpha.
FEWEST = 20


class Record(BaseModel):
    """A part of a calibration, immutable and without unknown fields or infinite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Preprocessing(Record):
    """The form of the images that a calibration is valid for."""

    image_shape: tuple[int, int, int]
    vocabulary: int
    codec: str = Field(description="Name of the lossless image coder.")
    codec_bits: tuple[int, ...] = Field(
        description="Lengths, in bits, of fixed pictures that it codes."
    )

    @classmethod
    def of(cls, config: ModelConfig) -> "Preprocessing":
        """Return the preprocessing that this process applies for `config`."""
        shape, vocabulary = config.image_shape, config.vocabulary
        return cls(
            image_shape=shape,
            vocabulary=vocabulary,
            codec=str(CODEC["format"]).lower(),
            codec_bits=codec_fingerprint(shape, vocabulary),
        )


class Source(Record):
    """A set of images: their number, the number that failed and the SHA-256 of their tokens."""

    images: NonNegativeInt
    failed: NonNegativeInt
    sha256: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Score and statistics, or the reason why there are none, with the p-value in either case."""

    p_value: float
    score: float | None = None
    statistics: dict[str, float] | None = None
    reason: str | None = None


class Ranked(Record, ABC):
    """A calibration by the rank of a score among those of the calibration images.

    It is valid for the weights, the solver's settings and the preprocessing that it names, and for
    no others.
    """

    checkpoint: str = Field(description="SHA-256 of the weights file.")
    seed: int = Field(description="Seed of the noise.")
    preprocessing: Preprocessing
    density_images: Source
    calibration_images: Source
    scores: tuple[float, ...] = Field(
        min_length=FEWEST,
        description="Scores of the calibration images that were solved, ascending.",
    )
    pictures: PictureReference | None = Field(
        None,
        description="The pictures whose tiles these images are, for a checkpoint that takes whole "
        "photographs.",
        exclude_if=lambda pictures: pictures is None,
    )
    command: str

    @model_validator(mode="after")
    def _adds_up(self) -> "Ranked":
        source = self.calibration_images
        if len(self.scores) + source.failed != source.images:
            raise ValueError("scores and failed images must add up to the calibration images")
        if list(self.scores) != sorted(self.scores):
            raise ValueError("scores must be in ascending order")
        return self

    @property
    def smallest_alpha(self) -> float:
        """The smallest alpha at which an image can be flagged."""
        return smallest_alpha(self.calibration_images.images)

    @property
    def ranked_scores(self) -> list[float]:
        """The scores that verdicts rank among, of calibration pictures where there are any. Those
        that failed come last, as `FAILED`."""
        if self.pictures is not None:
            return [*self.pictures.scores, *[FAILED] * self.pictures.failed]
        return [*self.scores, *[FAILED] * self.calibration_images.failed]

    @property
    @abstractmethod
    def standardised_names(self) -> tuple[str, ...]:
        """The names of the statistics that the calibration knows the usual values of."""

    @abstractmethod
    def standardise(self, found: Mapping[str, float]) -> dict[str, float]:
        """Return those of a verdict's statistics whose usual values the calibration knows, in
        standard deviations from the mean of the density images."""

    def deviations(self, verdict: Verdict) -> dict[str, float]:
        """Return the statistics of a verdict as `standardise` does; none for a failure."""
        return self.standardise(verdict.statistics) if verdict.statistics else {}

    def verdict(self, score: float, found: dict[str, float] | None, reason: str | None) -> Verdict:
        """Return the verdict by a score, or by `FAILED` for an image without one.

        An image that failed scores above every other, as it did in calibration.
        """
        failed = [FAILED] * self.calibration_images.failed
        reference: NDArray[np.float64] = np.array([*self.scores, *failed], np.float64)
        p = p_value(score, reference)
        if math.isfinite(score):
            return Verdict(p, score, found)
        return Verdict(p, reason=reason or NOT_FINITE)

    def regions(self, heat: Heatmap) -> list[tuple[Region, float]] | None:
        """Return the regions of an image or photograph that are hotter than good pixels, with their
        p-values, the hottest first; None for a calibration that does not know such regions."""
        return None

    def check(self, manifest: Manifest) -> None:
        """Raise CheckpointError unless the calibration is valid for this checkpoint and this
        process."""
        if self.checkpoint != manifest.sha256:
            raise CheckpointError(
                f"{CALIBRATION} belongs to the weights {self.checkpoint:.12}, not to "
                f"{manifest.sha256:.12}"
            )
        here = Preprocessing.of(manifest.config)
        for name, value in here:
            if value != getattr(self.preprocessing, name):
                raise CheckpointError(
                    f"{CALIBRATION} is for {name} {getattr(self.preprocessing, name)}, not {value}"
                )
        rule = None if manifest.preprocessing is None else manifest.preprocessing.digest
        known = None if self.pictures is None else self.pictures.rule
        if rule != known:
            raise CheckpointError(
                f"{CALIBRATION} is for pictures that were prepared in another way; calibrate again"
            )
