"""The calibration of verdicts by levels: what defects look like, and where (format 2).

Torch-free.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from models.anomaly.conformal import FAILED
from models.anomaly.heatmap import Heatmap
from models.anomaly.parts import LATENT_MASS, PARTS, Detector, statistic_names
from models.anomaly.power import Power
from models.anomaly.ranked import CALIBRATION, Ranked, Record, Verdict
from models.anomaly.readings import Reading
from models.anomaly.regions import Peaks, Region, find_regions
from models.anomaly.tails import Tails
from models.files.pictures import Bytes
from models.schema.errors import CheckpointError
from models.schema.manifest import Manifest
from models.schema.specs import Levels


class Scale(Record):
    """The heat of good pixels that is drawn black, their median, and white, their 99.9th
    percentile."""

    black: float
    white: float


class LevelCalibration(Ranked):
    """The content of `calibration.json`, format 2."""

    format: Literal[2] = 2
    solver: Levels
    detector: Detector
    tails: Tails
    scale: Scale
    power: Power
    peaks: Peaks | None = Field(
        None,
        description="What p-values of regions rest on; calibrations of older builds have none.",
        exclude_if=lambda peaks: peaks is None,
    )

    @model_validator(mode="after")
    def _peaks_add_up(self) -> "LevelCalibration":
        ranked = self.calibration_images.images
        if self.pictures is not None:
            ranked = self.pictures.pictures
        if self.peaks is not None and self.peaks.failed + len(self.peaks.values) != ranked:
            raise ValueError("there must be one peak for each calibration image, or photograph")
        return self

    def judge(self, readings: Sequence[Reading], images: Bytes) -> list[Verdict]:
        """Return the verdicts on `images` `[N, H, W, C]` from their readings."""
        return [self._judge(*pair) for pair in zip(readings, images, strict=True)]

    def heatmap(self, reading: Reading, image: Bytes) -> Heatmap | None:
        """Return the heat of an image `[H, W, C]` in the scale of all images."""
        if reading.levels is None:
            return None
        heat = self.detector.heat_maps([reading], image[None])[0]
        return Heatmap(heat, self.scale.black, self.scale.white)

    def regions(self, heat: Heatmap) -> list[tuple[Region, float]] | None:
        if self.peaks is None:
            return None
        found = find_regions(heat.values, self.scale.black, self.scale.white)
        return list(zip(found, self.peaks.p_values(found), strict=True))

    @property
    def reported(self) -> tuple[str, ...]:
        """The names of the statistics of a verdict."""
        return (*self.names, LATENT_MASS)

    @property
    def standardised_names(self) -> tuple[str, ...]:
        return self.names

    def standardise(self, found: Mapping[str, float]) -> dict[str, float]:
        names = self.detector.density.names
        (values,) = self.detector.density.standardise(_row(found, names)).tolist()
        # Of good images -log p has the mean 1 and the standard deviation 1.
        (parts,) = (self.tails.surprise(_row(found, PARTS)) - 1).tolist()
        return dict(zip((*names, *PARTS), (*values, *parts), strict=True))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the statistics and parts that the score is made of."""
        return (*self.detector.density.names, *PARTS)

    def check(self, manifest: Manifest) -> None:
        super().check(manifest)
        height, width, channels = self.preprocessing.image_shape
        detector = self.detector
        fits = (
            detector.density.names == statistic_names(self.solver.levels)
            and detector.vocabulary == self.preprocessing.vocabulary
            and detector.heat.mean.shape == (self.solver.levels + 1, height, width)
            and detector.subspace.mean.shape == (height * width * channels,)
        )
        if not fits:
            raise CheckpointError(f"{CALIBRATION} was fitted on other levels or other images")

    def _judge(self, reading: Reading, image: Bytes) -> Verdict:
        """Judge one image alone, so that its numbers depend on nothing beside it."""
        if reading.levels is None or reading.values is None:
            return self.verdict(FAILED, None, reading.reason)
        measured = self.detector.measure([reading], image[None])
        (score,) = self.tails.score(measured.parts).tolist()
        found = dict(zip(self.detector.density.names, measured.statistics[0].tolist(), strict=True))
        found |= dict(zip(PARTS, measured.parts[0].tolist(), strict=True))
        found[LATENT_MASS] = reading.values[LATENT_MASS]
        if not np.isfinite(list(found.values())).all():
            return self.verdict(FAILED, None, None)
        return self.verdict(score, found, None)


def _row(found: Mapping[str, float], names: Sequence[str]) -> NDArray[np.float64]:
    """Return the statistics of these names as a table `[1, names]`."""
    return np.array([[found[name] for name in names]], np.float64)
