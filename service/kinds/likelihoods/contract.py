"""Requests for likelihoods, and their answers."""

from typing import Any, Literal

from pydantic import Field

from models.schema.specs import Adams
from service.contracts.base import (
    Checkpoint,
    ContentSeed,
    Execution,
    ModelName,
    Pngs,
    PriorityName,
    RequestModel,
    ResponseModel,
    Timeout,
    Timing,
)
from service.contracts.classes import NAMED, ClassLabels
from service.contracts.photographs import APPLIED, PICTURE, Applied, Picture, TilePlace, Tiles

_SCORING: dict[str, Any] = dict(Adams.model_fields)


class LikelihoodParameters(RequestModel):
    """Parameters of scoring; they come beside the images as JSON, form fields or in the query."""

    model: ModelName
    draws: int = Field(
        1,
        ge=1,
        le=64,
        description="Dequantizations of each image, averaged as importance weights.",
    )
    probes: int = _SCORING["probes"]
    trace: Literal["probes", "exact"] = _SCORING["trace"]
    latent: Literal["encoded", "sampled"] = _SCORING["latent"]
    tolerance_nats: float = _SCORING["tolerance_nats"]
    standard_error_nats: float | None = Field(
        None,
        ge=0.01,
        le=1000,
        description="The total standard error of each image that solves are added for, of trace, "
        "draws and ODE together, in nats. It stands in the place of `probes`. One draw has no "
        "error of draws.",
    )
    max_evaluations: int | None = Field(
        None,
        ge=8,
        le=20_000,
        description="The most network evaluations of an image where `standard_error_nats` is "
        "given, 2000 if left out. The price of the request is by them.",
    )
    class_label: ClassLabels = Field(
        None,
        description="Class of the images, 0 or more, or a list with that of each: the score is log "
        "P(image | class). Left out, it is the mean over all classes, each as likely, at the price "
        "of as many scores. For models with classes. In a form or a query a list is parted by "
        "commas.",
    )
    tiles: Tiles = False
    seed: ContentSeed = 0
    timeout_s: Timeout = None
    priority: PriorityName = "normal"


class LikelihoodRequest(LikelihoodParameters):
    """A request to score images."""

    images: Pngs


class ScoreTerms(ResponseModel):
    """Terms that add up to the bound, in nats, each the mean over draws."""

    prior: float | None = Field(description="Log-density of the noise that the image becomes.")
    log_det: float | None = Field(description="Log-determinant of the way from image to noise.")
    dequantization: float | None = Field(
        description="Minus the log-density of the dequantization noise."
    )
    latent: float | None = Field(
        description="Log prior of the latent, less its log-probability where it was sampled. Over "
        "all classes, minus the KL from their shares in the mean to equal shares."
    )


class Likelihood(ResponseModel):
    """Likelihood of an image in nats, or the reason why there is none."""

    status: Literal["ok", "failed"]
    log_px_given_z: float | None = Field(
        description="Bound on log P(image | its latent, or the class that was named); null where "
        "latents were sampled and where the score is over all classes."
    )
    log_px_lower_bound: float | None = Field(
        description="Bound on log P(image), or log P(image | class) where a class was named."
    )
    bits_per_dim: float | None = Field(description="-log_px_lower_bound / (D ln 2).")
    trace_standard_error: float | None = Field(
        description="Standard error of the bound from the probes that estimate the trace."
    )
    trace_degrees_of_freedom: float | None = Field(
        None,
        description="Degrees of freedom of `trace_standard_error`: an interval takes Student's t.",
    )
    draw_standard_error: float | None = Field(
        description="Standard error of the bound from the draws."
    )
    ode_error_estimate: float | None = Field(
        description="Estimate of the ODE solver's error, by the factor that was measured for the "
        "checkpoint, if there is one."
    )
    total_standard_error: float | None = Field(
        None,
        description="Standard error of all of these together, widened where few degrees of freedom "
        "tell it: an interval of 95 % reaches 1.96 times as far.",
    )
    draws: int | None = Field(
        None,
        description="The draws that `standard_error_nats` took.",
        exclude_if=lambda draws: draws is None,
    )
    solves: int | None = Field(
        None,
        description="The number of solves of each draw, each with other probes, that "
        "`standard_error_nats` took.",
        exclude_if=lambda solves: solves is None,
    )
    precise: bool | None = Field(
        None,
        description="True if `total_standard_error` is not above `standard_error_nats`, false if "
        "`max_evaluations` left no room for more.",
        exclude_if=lambda precise: precise is None,
    )
    terms: ScoreTerms
    log_px_given_class: tuple[float, ...] | None = Field(
        None,
        description="Bound on log P(image | class) for each class, where the score is over all.",
        exclude_if=lambda bounds: bounds is None,
    )
    nfe: int = Field(description="Number of network evaluations of all draws together.")
    reason: str | None = Field(
        None, description="Reason of a failure.", exclude_if=lambda reason: reason is None
    )


class TileScore(Likelihood):
    """Likelihood of one tile of a photograph."""

    place: TilePlace


class ImageScore(Likelihood):
    """Likelihood of one image. Of a photograph, log-probabilities are the sums over its tiles,
    where pixels of overlapping tiles count more than once; `bits_per_dim` is the tiles' mean."""

    index: int = Field(description="Position of the image in the request, from 0.")
    class_label: int | None = NAMED
    picture: Picture | None = PICTURE
    tiles: tuple[TileScore, ...] = Field(
        (),
        description="The tiles' own likelihoods, on request.",
        exclude_if=lambda tiles: not tiles,
    )


class LikelihoodSettings(ResponseModel):
    """Parameters of the scoring with all defaults filled in."""

    draws: int
    probes: int | None = Field(description="Null where the trace is exact.")
    trace: Literal["probes", "exact"]
    latent: Literal["encoded", "sampled"]
    tolerance_nats: float
    standard_error_nats: float | None = Field(
        None,
        description="The total standard error that was asked for.",
        exclude_if=lambda nats: nats is None,
    )
    max_evaluations: int
    seed: int


class LikelihoodResponse(ResponseModel):
    """One score for each image, in the order of the request."""

    id: str = Field(description="Id of the job.")
    model: str
    checkpoint: Checkpoint
    execution: Execution
    results: tuple[ImageScore, ...]
    settings: LikelihoodSettings
    applied: Applied | None = APPLIED
    timing: Timing
