"""The linear subspace that good images lie near (principal components). NumPy alone."""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from models.anomaly.packed import Packed

Values = NDArray[np.float64]
COMPONENTS = 24
# A calibration travels with every job, so that the components of large images are fewer.
MOST_NUMBERS = 1 << 17


class Subspace(BaseModel):
    """The mean of good images and orthonormal directions, in which they vary most, in rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: Packed
    directions: Packed

    @classmethod
    def fit(cls, values: Values) -> "Subspace":
        """Fit images `values` `[N, H, W, C]`, of which at most a quarter as many directions as
        there are images are kept."""
        flat = values.reshape(len(values), -1)
        count = min(COMPONENTS, len(flat) // 4, MOST_NUMBERS // flat.shape[1], flat.shape[1] - 1)
        centred = flat - flat.mean(0)
        # The smaller of the two Gram matrices has the same positive eigenvalues.
        if len(flat) < flat.shape[1]:
            _, vectors = np.linalg.eigh(centred @ centred.T)
            directions = vectors[:, ::-1][:, :count].T @ centred
        else:
            _, vectors = np.linalg.eigh(centred.T @ centred)
            directions = vectors[:, ::-1][:, :count].T
        lengths = np.linalg.norm(directions, axis=1, keepdims=True)
        directions = directions[lengths[:, 0] > 1e-9] / lengths[lengths[:, 0] > 1e-9]
        return cls(mean=Packed.of(flat.mean(0)), directions=Packed.of(directions))

    def residual(self, values: Values) -> Values:
        """Return the part of `values` `[N, H, W, C]` that lies outside the subspace."""
        centred = values.reshape(len(values), -1) - self.mean.array
        inside = centred @ self.directions.array.T @ self.directions.array
        return (centred - inside).reshape(values.shape)
