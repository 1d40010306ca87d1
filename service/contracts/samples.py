"""POST /v1/samples."""

from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from models.schema.presets import PresetName
from models.schema.specs import SamplerSpec
from service.contracts.base import (
    MAX_SEED,
    Checkpoint,
    Execution,
    ModelName,
    PriorityName,
    RequestModel,
    ResponseModel,
    Timeout,
    Timing,
)

BY_NAME, BY_PRESET = "by-name", "by-preset"


class Preset(RequestModel):
    """The checkpoint's own choice of solver, by purpose."""

    preset: PresetName


def _solver_tag(value: Any) -> str | None:
    if isinstance(value, dict):
        return BY_PRESET if "preset" in value else BY_NAME if "name" in value else None
    return BY_PRESET if isinstance(value, Preset) else BY_NAME


def _latent(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError:
        raise PydanticCustomError(
            "latent", 'should be "prior" or a list of distinct indices, 0 or more'
        ) from None


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
    WrapValidator(_latent),
]


class SampleRequest(RequestModel):
    """Images to draw. Image i depends on checkpoint, solver, seed and i alone."""

    model: ModelName
    count: int = Field(1, ge=1, description="How many images; the server bounds it.")
    seed: int | None = Field(
        None, ge=0, le=MAX_SEED, description="Left out, the server draws one and returns it."
    )
    solver: SolverChoice = Field(
        Preset(preset="balanced"), description="A solver by name, or a preset of the checkpoint."
    )
    latent: LatentChoice = Field(
        "prior", description="Draw each image's latent, or fix it: its k distinct ones."
    )
    timeout_s: Timeout = None
    priority: PriorityName = "normal"


class SampledImage(ResponseModel):
    """One image."""

    index: int
    png: str = Field(description="Base64 of a PNG; a pixel is round(255 v / (V - 1)).")
    nfe: int = Field(description="Network evaluations.")
    acceptance_rate: float | None = Field(
        description="Share of proposals accepted; null where the solver makes none."
    )
    latent: tuple[int, ...] = Field(description="Indices of the latent's ones.")


class SampleResponse(ResponseModel):
    """(checkpoint, solver, seed, index, execution) determine an image."""

    id: str
    model: str
    checkpoint: Checkpoint
    execution: Execution
    seed: int
    solver: SamplerSpec = Field(description="Every parameter, resolved.")
    images: tuple[SampledImage, ...]
    timing: Timing
