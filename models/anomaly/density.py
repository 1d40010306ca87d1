"""How likely the statistics of an image are among those of normal images. NumPy alone."""

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
    whitening: Matrix = Field(description="P, where P P^T is the inverse covariance; triangular.")


class Density(BaseModel):
    """A mixture of Gaussians; its score is minus the log-density of the standardised statistics."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    names: tuple[str, ...] = Field(description="The statistics, in the order of what follows.")
    mean: Vector
    scale: Vector = Field(description="Standard deviations; 1 where there is none.")
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
            raise ValueError("a component has another shape than the statistics, or no density")
        if not len(self.mean) == len(self.scale) == width or min(self.scale, default=1.0) <= 0:
            raise ValueError("means and positive scales should be as many as statistics")
        return self

    def score(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of statistics `[rows, names]`: `[rows]`, higher for stranger ones; infinite past what
        a number can hold."""
        standard = (table - np.array(self.mean)) / np.array(self.scale)
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
