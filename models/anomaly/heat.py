"""Heatmaps in one scale: how far each pixel is from what good images have there. NumPy alone."""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.anomaly.covariates import Regression
from models.anomaly.packed import Packed

Maps = NDArray[np.float64]
Table = NDArray[np.float64]


class Heat(BaseModel):
    """The weighted sum, over the error maps of an image, of each pixel's standard deviations above
    what good images of such brightness and contrast have at that pixel."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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

    def standardised(self, errors: Maps, known: Table) -> Maps:
        """Return error maps `[N, maps, H, W]` of images with covariates `known` `[N, Q]` in
        standard deviations."""
        left = errors - self.usual.expected(known)[:, :, None, None]
        standard: Maps = (left - self.mean.array) / self.spread.array
        return standard

    def __call__(self, errors: Maps, known: Table) -> Maps:
        """Return heat `[N, H, W]`, higher for stranger pixels."""
        standard = self.standardised(errors, known)
        heat: Maps = np.einsum("nkhw,k->nhw", standard, np.array(self.weights))
        return heat
