"""The calibration that turns readings into verdicts, fitted once and kept beside the checkpoint.

Torch-free.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    ValidationError,
    model_validator,
)

from models.anomaly.conformal import FAILED, p_value, smallest_alpha
from models.anomaly.density import Density
from models.anomaly.pictures import PictureReference
from models.anomaly.readings import Reading
from models.anomaly.statistics import (
    CODEC,
    FITTED,
    TYPICALITY,
    codec_fingerprint,
    table,
    with_codec,
)
from models.files.folders import write_atomically
from models.files.pictures import Bytes
from models.schema.config import ModelConfig
from models.schema.errors import CheckpointError
from models.schema.manifest import Manifest, first_fault
from models.schema.regular import read_regular
from models.schema.specs import FlowPath

CALIBRATION = "calibration.json"
NOT_FINITE = "the score is not finite"
# The smallest p-value of 19 calibration images is 0.05: fewer flag nothing at the usual alpha.
FEWEST = 20
# Room for the scores of 400,000 calibration images, about 20 bytes each.
MOST_BYTES = 8 << 20


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Preprocessing(_Record):
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


class Source(_Record):
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


class Calibration(_Record):
    """The content of `calibration.json`.

    It is valid for the weights, the solver's settings and the preprocessing that it names, and for
    no others.
    """

    format: Literal[1] = 1
    checkpoint: str = Field(description="SHA-256 of the weights file.")
    solver: FlowPath
    seed: int = Field(description="Seed of the noise.")
    preprocessing: Preprocessing
    density_images: Source
    calibration_images: Source
    mean_nll: float = Field(description="Mean of -log_px_given_z over the density images, in nats.")
    density: Density
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
    def _adds_up(self) -> "Calibration":
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

    def judge(self, readings: Sequence[Reading], images: Bytes) -> list[Verdict]:
        """Return the verdicts on `images` `[N, H, W, C]` from their readings.

        A reading that failed scores above every other, as it did in calibration.
        """
        reference = self._reference()
        verdicts = []
        for reading, image in zip(readings, images, strict=True):
            if reading.values is None:
                score, found, reason = FAILED, None, reading.reason
            else:
                found, reason = self.statistics(reading, image), NOT_FINITE
                (score,) = self.density.score(table([found], self.density.names)).tolist()
            p = p_value(score, reference)
            if math.isfinite(score):
                verdicts.append(Verdict(p, score, found))
            else:
                verdicts.append(Verdict(p, reason=reason))
        return verdicts

    def statistics(self, reading: Reading, image: Bytes) -> dict[str, float]:
        """Return every statistic of one image `[H, W, C]` that was solved."""
        assert reading.values is not None
        found = with_codec(reading.values, image)
        return {**found, TYPICALITY: abs(-found["log_px_given_z"] - self.mean_nll)}

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
        if self.density.names != FITTED:
            raise CheckpointError(f"{CALIBRATION} was fitted on other statistics")

    def _reference(self) -> NDArray[np.float64]:
        failed = [FAILED] * self.calibration_images.failed
        return np.array([*self.scores, *failed], np.float64)


def save_calibration(folder: Path, calibration: Calibration) -> None:
    """Write the calibration beside the manifest."""
    write_atomically(folder / CALIBRATION, (calibration.model_dump_json() + "\n").encode())


def read_calibration(folder: Path, manifest: Manifest) -> Calibration | None:
    """Read the calibration of the checkpoint in `folder`, or return None where there is none.

    Raises CheckpointError for one that is damaged, past `MOST_BYTES`, not a regular file, or not
    of this checkpoint.
    """
    path = folder / CALIBRATION
    try:
        found = Calibration.model_validate_json(read_regular(path, MOST_BYTES))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        raise CheckpointError(f"{path}: {first_fault(error)}") from error
    found.check(manifest)
    return found
