"""GET /v1/models."""

from typing import Any

from pydantic import Field

from models.schema.presets import Presets
from service.contracts.base import Checkpoint, ResponseModel


class Latent(ResponseModel):
    """A k-hot vector of length n."""

    n: int
    k: int


class Limits(ResponseModel):
    """What one request may ask for."""

    max_images: int
    max_body_bytes: int
    max_row_evaluations: int
    max_timeout_s: float


class ModelResponse(ResponseModel):
    """A checkpoint that is served."""

    name: str
    checkpoint: Checkpoint
    image_shape: tuple[int, int, int] = Field(description="Height, width, channels.")
    vocabulary: int = Field(description="Values that a pixel can take.")
    latent: Latent
    parameters: int
    parameterisation: str = Field(description="What the network predicts.")
    runtime: str = Field(description="The `execution` of its results.")
    limits: Limits
    presets: Presets
    calibration: dict[str, Any] | None = Field(description="Null until it has been calibrated.")
    evaluation: dict[str, Any] = Field(description="Measured figures, from its model card.")


class ModelListResponse(ResponseModel):
    """Everything that is served."""

    models: tuple[ModelResponse, ...]
