"""Requests for drawn images, and their answers."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from models.schema.presets import PresetName
from models.schema.specs import SamplerSpec
from service.contracts.base import (
    BY_NAME,
    BY_PRESET,
    MAX_SEED,
    Checkpoint,
    Execution,
    ModelName,
    PriorityName,
    RequestModel,
    ResponseModel,
    Timeout,
    Timing,
    worded,
)
from service.contracts.classes import NAMED, ClassLabels


class Preset(RequestModel):
    """The checkpoint's own choice of solver, by purpose."""

    preset: PresetName


def _solver_tag(value: Any) -> str | None:
    if isinstance(value, dict):
        return BY_PRESET if "preset" in value else BY_NAME if "name" in value else None
    return BY_PRESET if isinstance(value, Preset) else BY_NAME


SolverChoice = Annotated[
    Annotated[Preset, Tag(BY_PRESET)] | Annotated[SamplerSpec, Tag(BY_NAME)],
    Discriminator(
        _solver_tag,
        custom_error_type="solver",
        custom_error_message='should name a solver ("name") or a preset ("preset")',
    ),
]
LatentChoice = Annotated[
    Literal["prior"] | Annotated[list[Annotated[int, Field(ge=0)]], Field(fail_fast=True)],
    worded("latent", 'should be "prior" or a list of distinct indices, 0 or more'),
]


class SampleRequest(RequestModel):
    """A request to draw images. Image i depends on checkpoint, solver, seed, its class and i
    alone."""

    model: ModelName
    count: int = Field(1, ge=1, description="Number of images; the server bounds it.")
    seed: int | None = Field(
        None, ge=0, le=MAX_SEED, description="Left out, the server draws one and returns it."
    )
    # A factory leaves the default out of the schema: generators of clients know none that is an
    # object.
    solver: SolverChoice = Field(
        default_factory=lambda: Preset(preset="balanced"),
        description="A solver by name, or a preset of the checkpoint; left out, `balanced`.",
    )
    latent: LatentChoice = Field(
        "prior",
        description="`prior` draws a latent for each image; k distinct indices fix it for all.",
    )
    class_label: ClassLabels = Field(
        None,
        description="Class of the images, 0 or more, or a list with that of each; left out, one is "
        "drawn for each image, every class as likely. For models with classes.",
    )
    timeout_s: Timeout = None
    priority: PriorityName = "normal"


class SampledImage(ResponseModel):
    """One image that was drawn."""

    index: int = Field(description="Position of the image, from 0.")
    png: str = Field(description="Base64 of a PNG; a pixel is round(255 v / (V - 1)).")
    nfe: int = Field(description="Number of network evaluations.")
    acceptance_rate: float | None = Field(
        description="Share of proposals accepted; null where the solver makes none."
    )
    latent: tuple[int, ...] = Field(description="Indices of the latent's ones.")
    class_label: int | None = NAMED


class SampleResponse(ResponseModel):
    """Images that were drawn. (checkpoint, solver, seed, index, execution) determine each one."""

    id: str = Field(description="Id of the job.")
    model: str
    checkpoint: Checkpoint
    execution: Execution
    seed: int = Field(description="The request's seed, or the one that the server drew.")
    solver: SamplerSpec = Field(description="The solver with every parameter resolved.")
    images: tuple[SampledImage, ...]
    timing: Timing
