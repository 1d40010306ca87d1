"""The calibration of verdicts by the path: a density of its statistics (format 1).

Torch-free.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from models.anomaly.conformal import FAILED
from models.anomaly.density import Density
from models.anomaly.heatmap import Heatmap, own_scale
from models.anomaly.ranked import CALIBRATION, Ranked, Verdict
from models.anomaly.readings import Reading
from models.anomaly.statistics import FITTED, TYPICALITY, table, with_codec
from models.files.pictures import Bytes
from models.schema.errors import CheckpointError
from models.schema.manifest import Manifest
from models.schema.specs import FlowPath


class Calibration(Ranked):
    """The content of `calibration.json`, format 1."""

    format: Literal[1] = 1
    solver: FlowPath
    mean_nll: float = Field(description="Mean of -log_px_given_z over the density images, in nats.")
    density: Density

    def judge(self, readings: Sequence[Reading], images: Bytes) -> list[Verdict]:
        """Return the verdicts on `images` `[N, H, W, C]` from their readings."""
        verdicts = []
        for reading, image in zip(readings, images, strict=True):
            if reading.values is None:
                verdicts.append(self.verdict(FAILED, None, reading.reason))
            else:
                found = self.statistics(reading, image)
                (score,) = self.density.score(table([found], self.density.names)).tolist()
                verdicts.append(self.verdict(score, found, None))
        return verdicts

    def statistics(self, reading: Reading, image: Bytes) -> dict[str, float]:
        """Return every statistic of one image `[H, W, C]` that was solved."""
        assert reading.values is not None
        found = with_codec(reading.values, image)
        return {**found, TYPICALITY: abs(-found["log_px_given_z"] - self.mean_nll)}

    def heatmap(self, reading: Reading, image: Bytes) -> Heatmap | None:
        """Return the contributions to the bound, summed over channels, in the image's own scale."""
        if reading.contribution is None:
            return None
        return own_scale(reading.contribution)

    @property
    def reported(self) -> tuple[str, ...]:
        """The names of the statistics of a verdict."""
        return (*self.density.names, TYPICALITY)

    @property
    def standardised_names(self) -> tuple[str, ...]:
        return self.density.names

    def standardise(self, found: Mapping[str, float]) -> dict[str, float]:
        names = self.density.names
        (values,) = self.density.standardise(table([found], names)).tolist()
        return dict(zip(names, values, strict=True))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the statistics that the score is made of."""
        return self.density.names

    def check(self, manifest: Manifest) -> None:
        super().check(manifest)
        if self.density.names != FITTED:
            raise CheckpointError(f"{CALIBRATION} was fitted on other statistics")
