"""How likely the statistics of an image are among those of normal images. NumPy alone."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

# Added to the variances of the standardised statistics: several are nearly functions of others.
RIDGE = 0.05
_FLAT = 1e-9


class Density(BaseModel):
    """A Gaussian over standardised statistics; its score is the squared distance from the mean in
    units of the shrunk covariance, minus twice the log-density but for a constant."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    names: tuple[str, ...] = Field(description="The statistics, in the order of what follows.")
    mean: tuple[float, ...]
    scale: tuple[float, ...] = Field(description="Standard deviations; 1 where there is none.")
    whitening: tuple[tuple[float, ...], ...] = Field(
        description="Rows of the inverse Cholesky factor of correlation + ridge."
    )

    @classmethod
    def fit(cls, names: Sequence[str], table: NDArray[np.float64]) -> "Density":
        """Of statistics `table` `[rows, names]`."""
        mean, spread = table.mean(0), table.std(0)
        scale = np.where(spread > _FLAT * np.maximum(1, np.abs(mean)), spread, 1.0)
        standard = (table - mean) / scale
        covariance = standard.T @ standard / len(table) + RIDGE * np.eye(len(names))
        whitening = np.linalg.inv(np.linalg.cholesky(covariance))
        return cls(
            names=tuple(names),
            mean=tuple(mean.tolist()),
            scale=tuple(scale.tolist()),
            whitening=tuple(tuple(row) for row in whitening.tolist()),
        )

    def score(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of statistics `[rows, names]`: `[rows]`, higher for stranger ones."""
        standard = (table - np.array(self.mean)) / np.array(self.scale)
        scores: NDArray[np.float64] = np.square(standard @ np.array(self.whitening).T).sum(1)
        return scores
