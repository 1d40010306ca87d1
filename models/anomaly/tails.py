"""The surprise of the parts of a score, in one scale, and their sum. NumPy alone."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.anomaly.packed import Packed

Table = NDArray[np.float64]
# Shares of good images below the knots; beyond the last one the tail is taken as exponential.
SHARES = np.arange(19) / 20


class Tails(BaseModel):
    """The distribution of each part over good images that the parts were not fitted on.

    A part's surprise is -log of the share of good images that have as much. The score is the
    weighted sum over the parts (as in Fisher's method), so that a part which finds nothing takes
    nothing away from another that does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    knots: Packed
    excess: Packed
    weights: tuple[float, ...] = Field(description="Weight of each part's surprise.")

    @classmethod
    def of(cls, parts: Table, weights: Sequence[float]) -> "Tails":
        """Fit `parts` `[N, P]` of good images, whose surprises will count by `weights` `[P]`."""
        knots = np.quantile(parts, SHARES, axis=0)
        beyond = np.maximum(parts - knots[-1], 0)
        excess = beyond.sum(0) / np.maximum((beyond > 0).sum(0), 1)
        # A part that is constant in good images still says something of others.
        floor = 1e-6 * (1 + np.abs(knots[-1]))
        return cls(
            knots=Packed.of(knots),
            excess=Packed.of(np.maximum(excess, floor)),
            weights=tuple(weights),
        )

    @model_validator(mode="after")
    def _is_one(self) -> "Tails":
        parts = (len(self.weights),)
        if self.excess.shape != parts or self.knots.shape != (len(SHARES), *parts):
            raise ValueError("knots, excesses and weights do not fit together")
        if (np.diff(self.knots.array, axis=0) < 0).any() or self.excess.array.min(initial=1) <= 0:
            raise ValueError("knots must ascend, and excesses must be positive")
        return self

    def surprise(self, parts: Table) -> Table:
        """Return -log p `[N, P]` of `parts`, from 0."""
        knots, excess = self.knots.array, self.excess.array
        usual = [
            np.interp(column, levels, -np.log1p(-SHARES))
            for column, levels in zip(parts.T, knots.T, strict=True)
        ]
        beyond: Table = np.maximum(parts - knots[-1], 0) / excess
        return np.stack(usual, axis=1) + beyond

    def score(self, parts: Table) -> Table:
        """Return scores `[N]` of `parts` `[N, P]`, higher for stranger images."""
        scores: Table = self.surprise(parts) @ np.array(self.weights)
        return scores
