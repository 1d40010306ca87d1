"""Answers of GET /v1/models."""

from typing import Any, Literal

from pydantic import Field

from models.schema.presets import Presets
from service.contracts.base import Checkpoint, ResponseModel
from service.contracts.photographs import Applied


class Latent(ResponseModel):
    """The latent is a k-hot vector of length n."""

    n: int = Field(description="Length of the latent.")
    k: int = Field(description="Number of ones in it.")


class Limits(ResponseModel):
    """The most that one request may ask for."""

    max_images: int = Field(description="Images in one request.")
    max_body_bytes: int = Field(description="Bytes of one request body.")
    max_row_evaluations: int = Field(
        description="Predicted price of one request: images x draws x (1 + probes) x steps, and "
        "x classes where the classes of images to score are not named."
    )
    max_timeout_s: float = Field(
        description="Longest wait of a request, in seconds; a larger `timeout_s` counts as this."
    )


class ModelResponse(ResponseModel):
    """A checkpoint that is served."""

    name: str
    checkpoint: Checkpoint
    image_shape: tuple[int, int, int] = Field(description="Height, width, channels.")
    vocabulary: int = Field(description="Number of values that a pixel can take.")
    preprocessing: Applied | None = Field(
        description="The rule that makes images of photographs; null where images must have the "
        "model's shape and levels."
    )
    latent: Latent
    classes: int | None = Field(
        None,
        description="Number of classes, which requests name from 0 on as `class_label`; absent for "
        "a model without classes.",
        exclude_if=lambda classes: classes is None,
    )
    parameters: int = Field(description="Number of the network's parameters.")
    parameterisation: str = Field(description="Quantity that the network predicts.")
    runtime: str = Field(description="The `execution` of its results.")
    limits: Limits
    presets: Presets = Field(
        description="Solvers with their settings, by the names that requests give as `preset`.",
        examples=[{"fast": {"name": "ddpm", "steps": 20, "grid": "gamma"}}],
    )
    calibration: dict[str, Any] | None = Field(
        description="Null until it has been calibrated.",
        examples=[{"seed": 0, "smallest_alpha": 0.01, "statistics": ["log_prior", "log_det"]}],
    )
    evaluation: dict[str, Any] = Field(
        description="Measured figures, from its model card.",
        examples=[{"likelihood": {"ode": {"images": 297}}}],
    )


class Statistic(ResponseModel):
    """A statistic that verdicts report."""

    name: str
    description: str = Field(description="A sentence on what it measures.")


class CalibrationResponse(ResponseModel):
    """The scores that the p-values of a checkpoint's verdicts rest on."""

    checkpoint: Checkpoint
    ranked: Literal["images", "photographs"] = Field(
        description="The kind of things whose scores these are."
    )
    scores: tuple[float, ...] = Field(description="Scores of those that were solved, ascending.")
    failed: int = Field(description="Number of those that failed, which rank above all scores.")
    smallest_alpha: float = Field(description="The smallest alpha at which any can be flagged.")
    statistics: tuple[Statistic, ...] = Field(
        description="The statistics of a verdict, in the order in which answers have them."
    )


class ModelListResponse(ResponseModel):
    """All checkpoints that are served."""

    models: tuple[ModelResponse, ...]
