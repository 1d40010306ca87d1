"""The density of the statistics of normal images. It needs NumPy alone."""

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Vector = tuple[float, ...]
Matrix = tuple[Vector, ...]


class Component(BaseModel):
    """One Gaussian of the mixture, over standardised statistics."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    log_weight: float
    mean: Vector
    whitening: Matrix = Field(
        description="Triangular matrix P for which P P^T is the inverse covariance."
    )


class Density(BaseModel):
    """A mixture of Gaussians. Its score is minus the log-density of the standardised statistics."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    names: tuple[str, ...] = Field(
        description="Names of the statistics, in the order of all vectors."
    )
    mean: Vector
    scale: Vector = Field(description="Standard deviations, or 1 where a statistic is constant.")
    components: tuple[Component, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_one(self) -> "Density":
        width = len(self.names)
        if not all(
            len(one.mean) == len(one.whitening) == width
            and all(len(row) == width for row in one.whitening)
            and all(one.whitening[place][place] > 0 for place in range(width))
            for one in self.components
        ):
            raise ValueError("a component has a wrong shape or a covariance that is not positive")
        if not len(self.mean) == len(self.scale) == width or min(self.scale, default=1.0) <= 0:
            raise ValueError("there must be one mean and one positive scale for each statistic")
        return self

    def standardise(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return statistics `[rows, names]` in standard deviations from their means."""
        standard: NDArray[np.float64] = (table - np.array(self.mean)) / np.array(self.scale)
        return standard

    def score(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return scores `[rows]` of statistics `[rows, names]`, higher for stranger ones.

        A score is infinite where the density underflows.
        """
        standard = self.standardise(table)
        with np.errstate(over="ignore"):
            terms = np.stack([_log_density(one, standard) for one in self.components])
        scores: NDArray[np.float64] = -np.logaddexp.reduce(terms, axis=0)
        return scores


def _log_density(component: Component, standard: NDArray[np.float64]) -> NDArray[np.float64]:
    whitening = np.array(component.whitening)
    offset = (standard - np.array(component.mean)) @ whitening
    constant = np.log(np.diag(whitening)).sum() - 0.5 * len(whitening) * math.log(2 * math.pi)
    density: NDArray[np.float64] = component.log_weight + constant - 0.5 * np.square(offset).sum(1)
    return density
