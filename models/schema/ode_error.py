"""The calibration of the error that the ODE's solver estimates of likelihoods. Torch-free."""

from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

# The parts of the way whose steps have a length of their own.
PARTS = 10
# The longest steps of a network that was not measured, as parts of the network's time. With such
# steps the log-det is within 0.5 nats for 95 % of the images of `digits`, the roughest checkpoint
# at hand. In the last three parts little but noise is left, and steps grow.
UNMEASURED = tuple(length / 76 for length in (*[1.0] * 7, 7 / 6, 3 / 2, 11 / 6))


class OdeErrorScales(NamedTuple):
    """The factors and the steps of a checkpoint. In the estimate of the error, `x` is the
    factor of what x shows, and `whole` that of the whole estimate. `steps` are the longest steps in
    the middle of each part of the way where 0.5 nats are allowed, in the network's time."""

    x: float = 1.0
    whole: float = 1.0
    steps: tuple[float, ...] = UNMEASURED


UNCALIBRATED = OdeErrorScales()


class OdeErrorRecord(BaseModel):
    """The factors, and the lengths of steps, as measured on held-out images of a checkpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    x_scale: float = Field(
        gt=0, le=1, description="The factor of the error that x shows in the solver's estimate."
    )
    scale: float = Field(gt=0, description="The factor of the whole estimate.")
    steps: tuple[Annotated[float, Field(gt=0, le=1)], ...] | None = Field(
        None,
        min_length=PARTS,
        max_length=PARTS,
        description="The longest steps in each tenth of the way where 0.5 nats are allowed, in the "
        "network's time; left out if they were not measured.",
        exclude_if=lambda steps: steps is None,
    )
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
        """The factors and the steps alone."""
        return OdeErrorScales(self.x_scale, self.scale, self.steps or UNMEASURED)
