"""A small perceptron that says of each pixel whether it belongs to a defect. NumPy alone."""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.anomaly.packed import Packed

Maps = NDArray[np.float64]
# Standardised features further away than this count as this far away.
FARTHEST = 8.0


class Perceptron(BaseModel):
    """One hidden layer of rectified units over standardised features."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mean: Packed
    scale: Packed
    hidden: Packed = Field(description="Weights `[features, units]`.")
    hidden_bias: Packed
    out: Packed = Field(description="Weights `[units]`.")
    out_bias: float

    @model_validator(mode="after")
    def _is_one(self) -> "Perceptron":
        if len(self.hidden.shape) != 2:
            raise ValueError("the hidden weights are no matrix")
        features, units = ((length,) for length in self.hidden.shape)
        if not self.mean.shape == self.scale.shape == features:
            raise ValueError("there must be one mean and one scale for each feature")
        if not self.hidden_bias.shape == self.out.shape == units:
            raise ValueError("there must be one bias and one weight for each unit")
        return self

    def logits(self, features: Maps) -> Maps:
        """Return the log-odds `[N, H, W]` of a defect at pixels with `features` `[N, H, W, F]`."""
        standard = (features - self.mean.array) / self.scale.array
        np.clip(standard, -FARTHEST, FARTHEST, out=standard)
        units = np.maximum(standard @ self.hidden.array + self.hidden_bias.array, 0)
        logits: Maps = units @ self.out.array + self.out_bias
        return logits
