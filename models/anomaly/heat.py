"""Heatmaps in one scale: how far each pixel is from what good images have there. NumPy alone."""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.anomaly.covariates import Regression, around
from models.anomaly.packed import Packed
from models.files.pictures import Bytes

Maps = NDArray[np.float64]


class Heat(BaseModel):
    """The weighted sum, over the error maps of an image, of each pixel's standard deviations above
    what good images have at that pixel in surroundings of such brightness and contrast."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    reach: float | None = Field(
        None,
        gt=0,
        description="Standard deviation of a pixel's surroundings, in pixels; null, as in all "
        "calibrations of older builds, for the whole image.",
    )
    usual: Regression = Field(description="Means of the error maps, by the covariates.")
    mean: Packed = Field(description="Mean of what the regression leaves, `[maps, H, W]`.")
    spread: Packed = Field(description="Its standard deviation, `[maps, H, W]`.")
    weights: tuple[float, ...] = Field(description="Weight of each map, by the power check.")

    @model_validator(mode="after")
    def _is_one(self) -> "Heat":
        shape = self.mean.shape
        if len(shape) != 3 or self.spread.shape != shape or len(self.weights) != shape[0]:
            raise ValueError("mean, spread and weights of the error maps do not fit together")
        if self.spread.array.min(initial=1.0) <= 0:
            raise ValueError("a spread is not positive")
        return self

    def standardised(self, errors: Maps, images: Bytes, vocabulary: int) -> Maps:
        """Return error maps `[N, maps, H, W]` of `images` `[N, H, W, C]` in standard deviations."""
        left = errors - expected(self.usual, images, vocabulary, self.reach)
        standard: Maps = (left - self.mean.array) / self.spread.array
        return standard

    def __call__(self, errors: Maps, images: Bytes, vocabulary: int) -> Maps:
        """Return heat `[N, H, W]`, higher for stranger pixels."""
        standard = self.standardised(errors, images, vocabulary)
        heat: Maps = np.einsum("nkhw,k->nhw", standard, np.array(self.weights))
        return heat


def expected(usual: Regression, images: Bytes, vocabulary: int, reach: float | None) -> Maps:
    """Return what error maps of good pixels are in such surroundings, `[N, maps, H, W]`, or
    in such images, `[N, maps, 1, 1]`, where `reach` is None."""
    found: Maps = np.moveaxis(usual.expected(around(images, vocabulary, reach)), -1, 1)
    return found
