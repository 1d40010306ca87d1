"""The parts of a score by levels. NumPy alone."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from models.anomaly.blur import blur
from models.anomaly.covariates import brightness
from models.anomaly.density import Density
from models.anomaly.heat import Heat
from models.anomaly.maps import FINE, Seen, error_maps, features
from models.anomaly.perceptron import Perceptron
from models.anomaly.readings import Reading
from models.anomaly.statistics import CODEC
from models.anomaly.subspace import Subspace
from models.files.pictures import Bytes, coded_bits

Table = NDArray[np.float64]
Maps = NDArray[np.float64]
FAINT = 1e-12
PARTS = ("defect", "rarity")
# Between tiles, where half a weight for rarity is best, and Fashion-MNIST, where more is.
WEIGHTS = (1.0, 0.5)
CODEC_BITS, OUTSIDE, LATENT_MASS = "codec_bits", "outside", "latent_mass"


class Measured(NamedTuple):
    """Statistics `[N, names]` and parts `[N, PARTS]` of images."""

    statistics: Table
    parts: Table


class Detector(BaseModel):
    """A detector of strange images by their levels, fitted on good images and drawn defects.

    Its parts are `defect`, the largest log-odds of a defect that the perceptron gives any place,
    and `rarity`, minus the log-density of the statistics of the whole image.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    vocabulary: int
    subspace: Subspace
    perceptron: Perceptron
    heat: Heat
    density: Density

    def measure(self, readings: Sequence[Reading], images: Bytes) -> Measured:
        """Measure images `[N, H, W, C]`, each of which was solved."""
        seen = Seen(images, levels_of(readings))
        found = statistics(seen, self.subspace, self.vocabulary)
        odds = blur(self.perceptron.logits(features(seen, self.subspace, self.vocabulary)), FINE)
        parts = odds.max((1, 2)), self.density.score(found)
        return Measured(found, np.stack(parts, axis=1))

    def heat_maps(self, readings: Sequence[Reading], images: Bytes) -> Maps:
        """Return the heat `[N, H, W]` of images `[N, H, W, C]`, each of which was solved."""
        seen = Seen(images, levels_of(readings))
        errors = error_maps(seen, self.subspace, self.vocabulary)
        return self.heat(errors, images, self.vocabulary)


def statistic_names(levels: int) -> tuple[str, ...]:
    """Return the names of the statistics whose density is fitted, in their order."""
    return (*(f"level_{level + 1}" for level in range(levels)), OUTSIDE, CODEC_BITS)


def statistics(seen: Seen, subspace: Subspace, vocabulary: int) -> Table:
    """Return the statistics `[N, names]` of images: the logs of the mean squares of each level and
    of what lies outside the subspace, and the length as lossless WebP in bits."""
    outside = subspace.residual(brightness(seen.images, vocabulary))
    squares = np.concatenate([seen.levels, outside[:, None]], axis=1)
    bits = np.array([[float(coded_bits(image, CODEC))] for image in seen.images])
    return np.concatenate([np.log(np.square(squares).mean((2, 3, 4)) + FAINT), bits], axis=1)


def levels_of(readings: Sequence[Reading]) -> Maps:
    """Return the levels `[N, L, H, W, C]` of readings of images that were solved."""
    found = [reading.levels for reading in readings if reading.levels is not None]
    assert len(found) == len(readings)
    return np.stack(found).astype(np.float64)
