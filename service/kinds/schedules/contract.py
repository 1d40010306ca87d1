"""Requests for noise schedules, and their answers."""

from typing import Annotated

from pydantic import Field

from service.contracts.base import (
    Checkpoint,
    Execution,
    ModelName,
    Pngs,
    PriorityName,
    RequestModel,
    ResponseModel,
    Timeout,
    Timing,
)
from service.contracts.photographs import APPLIED, Applied

Ones = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(fail_fast=True)]


class ScheduleParameters(RequestModel):
    """Parameters of schedules; they come beside images as JSON, form fields or in the query."""

    model: ModelName
    points: int = Field(
        65,
        ge=9,
        le=257,
        description="Number of times, evenly spread from 0 to 1, at which gamma is tabulated.",
    )
    timeout_s: Timeout = None
    priority: PriorityName = "normal"


class ScheduleRequest(ScheduleParameters):
    """A request for the schedules of latents, or of the latents that images are encoded as."""

    latents: tuple[Ones, ...] = Field(
        (),
        fail_fast=True,
        description="Latents, each as the k distinct indices of its ones; instead of `images`. A "
        "model without a latent needs neither.",
    )
    images: Pngs = ()


class LatentSchedule(ResponseModel):
    """The schedule of one latent: gamma at the answer's `times`, over all pixels and channels.

    `coefficients` give it at any time t and in every pixel: gamma(t) = gamma_min + the integral of
    (a u^2 + b u + c)^2 over u from 0 to t (MuLAN, eq. 11), which is gamma_min + c^2 t + b c t^2 +
    (b^2 + 2 a c) t^3 / 3 + a b t^4 / 2 + a^2 t^5 / 5.
    """

    index: int = Field(
        description="Position of the latent or image in the request, from 0; of photographs, "
        "of the tile among all tiles."
    )
    latent: tuple[int, ...] = Field(description="Indices of the latent's ones.")
    mean: tuple[float, ...] = Field(description="Mean over pixels and channels.")
    lower: tuple[float, ...] = Field(description="5 % quantile over pixels and channels.")
    median: tuple[float, ...] = Field(description="50 % quantile over pixels and channels.")
    upper: tuple[float, ...] = Field(description="95 % quantile over pixels and channels.")
    coefficients: str = Field(
        description="Base64 of a, b and c: little-endian float32 `[3, H, W, C]`."
    )


class ScheduleResponse(ResponseModel):
    """One schedule for each latent or image, in the order of the request."""

    id: str = Field(description="Id of the job.")
    model: str
    checkpoint: Checkpoint
    execution: Execution
    gamma_min: float = Field(description="Value of gamma at t = 0, in every pixel.")
    gamma_max: float = Field(description="Value of gamma at t = 1, in every pixel.")
    image_shape: tuple[int, int, int] = Field(description="Height, width, channels: H, W, C.")
    times: tuple[float, ...] = Field(description="Diffusion times t, from 0 (data) to 1 (noise).")
    schedules: tuple[LatentSchedule, ...]
    applied: Applied | None = APPLIED
    timing: Timing
