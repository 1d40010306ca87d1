"""The calibration of the error that the ODE's solver estimates of likelihoods. Torch-free."""

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field


class OdeErrorScales(NamedTuple):
    """The factors of a checkpoint in the estimate of the ODE's error: `x` is that of the error that
    x shows, and `whole` that of the whole estimate. Without a calibration both are 1."""

    x: float = 1.0
    whole: float = 1.0


UNCALIBRATED = OdeErrorScales()


class OdeErrorRecord(BaseModel):
    """The factors as measured on held-out images of a checkpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    x_scale: float = Field(
        gt=0, le=1, description="The factor of the error that x shows in the solver's estimate."
    )
    scale: float = Field(gt=0, description="The factor of the whole estimate.")
    images: int = Field(ge=1, description="Number of images that they were measured on.")
    quantile: float = Field(
        gt=0, lt=1, description="The share of images whose error the scaled estimate covers."
    )
    tolerance_nats: float = Field(gt=0, description="The tolerance of the solves, in nats.")
    reference_steps: int = Field(
        ge=1, description="Equal steps of the solves that errors are measured from."
    )
    command: str

    @property
    def scales(self) -> OdeErrorScales:
        """The factors alone."""
        return OdeErrorScales(self.x_scale, self.scale)
