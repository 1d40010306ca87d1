"""POST /v1/likelihoods."""

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

_SCORING: dict[str, Any] = dict(Adams.model_fields)


class LikelihoodParameters(RequestModel):
    """How to score; beside the images as JSON, form fields or query parameters."""

    model: ModelName
    draws: int = Field(
        1, ge=1, le=64, description="Dequantizations, averaged as importance weights."
    )
    probes: int = _SCORING["probes"]
    trace: Literal["probes", "exact"] = _SCORING["trace"]
    latent: Literal["encoded", "sampled"] = _SCORING["latent"]
    tolerance_nats: float = _SCORING["tolerance_nats"]
    seed: ContentSeed = 0
    timeout_s: Timeout = None
    priority: PriorityName = "normal"


class LikelihoodRequest(LikelihoodParameters):
    """Images to score."""

    images: Pngs


class ScoreTerms(ResponseModel):
    """What adds up to the bound, in nats; the mean over draws."""

    prior: float | None
    log_det: float | None
    dequantization: float | None
    latent: float | None


class ImageScore(ResponseModel):
    """Likelihood of one image in nats, or the reason why there is none."""

    index: int
    status: Literal["ok", "failed"]
    log_px_given_z: float | None = Field(
        description="Bound on log P(image | its latent); null where latents were sampled."
    )
    log_px_lower_bound: float | None = Field(description="Bound on log P(image).")
    bits_per_dim: float | None = Field(description="-log_px_lower_bound / (D ln 2).")
    trace_standard_error: float | None = Field(description="Spread over probes.")
    draw_standard_error: float | None = Field(description="Spread over draws.")
    ode_error_estimate: float | None = Field(description="The solver's own estimate.")
    terms: ScoreTerms
    nfe: int = Field(description="Network evaluations, all draws.")
    reason: str | None = Field(
        None, description="Why it failed.", exclude_if=lambda reason: reason is None
    )


class LikelihoodSettings(ResponseModel):
    """Every parameter, resolved."""

    draws: int
    probes: int | None = Field(description="Null where the trace is exact.")
    trace: Literal["probes", "exact"]
    latent: Literal["encoded", "sampled"]
    tolerance_nats: float
    max_evaluations: int
    seed: int


class LikelihoodResponse(ResponseModel):
    """One score an image, in the order of the request."""

    id: str
    model: str
    checkpoint: Checkpoint
    execution: Execution
    results: tuple[ImageScore, ...]
    settings: LikelihoodSettings
    timing: Timing
