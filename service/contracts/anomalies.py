"""POST /v1/anomalies."""

from typing import Literal

from pydantic import Field

from models.schema.specs import FlowPath
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


class AnomalyParameters(RequestModel):
    """How to judge; beside the images as JSON, form fields or query parameters."""

    model: ModelName
    alpha: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="False-alarm rate: an image is flagged if its p-value is at most this. At "
        "least 1/(m + 1) for m calibration images.",
    )
    heatmap: bool = Field(False, description="Return each image's contribution map as a PNG.")
    seed: ContentSeed = 0
    timeout_s: Timeout = None
    priority: PriorityName = "normal"


class AnomalyRequest(AnomalyParameters):
    """Images to judge."""

    images: Pngs


class ImageVerdict(ResponseModel):
    """Whether one image is like the calibration's. One that could not be solved has no score, and
    the p-value of a score above every other."""

    index: int
    status: Literal["ok", "failed"]
    score: float | None = Field(description="Higher is more anomalous.")
    p_value: float = Field(description="(1 + calibration scores >= score) / (m + 1).")
    is_anomaly: bool = Field(description="p_value <= alpha.")
    statistics: dict[str, float] = Field(description="What the score was made of.")
    heatmap: str | None = Field(
        None,
        description="Base64 of a grey PNG: each pixel's contribution to the negative ELBO, 0 to "
        "the image's largest.",
        exclude_if=lambda heatmap: heatmap is None,
    )
    nfe: int = Field(description="Network evaluations.")
    reason: str | None = Field(
        None, description="Why it failed.", exclude_if=lambda reason: reason is None
    )


class AnomalySettings(ResponseModel):
    """Every parameter, resolved; the solver's are the calibration's."""

    alpha: float
    seed: int
    solver: FlowPath
    calibration_images: int = Field(description="m.")


class AnomalyResponse(ResponseModel):
    """One verdict an image, in the order of the request."""

    id: str
    model: str
    checkpoint: Checkpoint
    execution: Execution
    results: tuple[ImageVerdict, ...]
    settings: AnomalySettings
    timing: Timing
