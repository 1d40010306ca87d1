"""A measured mean with its standard error."""

import math

from pydantic import BaseModel, ConfigDict
from torch import Tensor

from models.work.likelihood import standard_error


class EvaluationRecord(BaseModel):
    """Base of the results of evaluations, as data."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Measurement(EvaluationRecord):
    """A mean over images or runs and its standard error, which is None for a single one."""

    mean: float
    standard_error: float | None

    @classmethod
    def of(cls, values: Tensor) -> "Measurement":
        """Return the mean of `values` `[N]` and its standard error."""
        values = values.double()
        return cls(mean=float(values.mean()), standard_error=standard_error(values))

    def __str__(self) -> str:
        error = "" if self.standard_error is None else f" ± {self.standard_error:.4f}"
        return f"{self.mean:.4f}{error}"


def bits_per_dimension(nats: Tensor, dimensions: int) -> Tensor:
    """Convert nats for an image to bits for a pixel and channel."""
    return nats.double() / (dimensions * math.log(2))
