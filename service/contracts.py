"""The wire: what requests and answers are made of. Torch-free."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from models.presets import PresetName, Presets
from models.specs import Adams, FlowPath, SamplerSpec

MAX_SEED = 2**53 - 1
BY_NAME, BY_PRESET = "by-name", "by-preset"

_SCORING: dict[str, Any] = dict(Adams.model_fields)


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")


class Preset(_Request):
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
    Literal["prior"] | list[Annotated[int, Field(ge=0)]], WrapValidator(_latent)
]
ModelName = Annotated[str, Field(max_length=64, description="A name from /v1/models.")]
Timeout = Annotated[
    float | None,
    Field(
        gt=0,
        description="Seconds after which the work is dropped and 504 answered; "
        "at most the server's own limit, which also holds where it is left out.",
    ),
]


class SampleRequest(_Request):
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


class LikelihoodParameters(_Request):
    """How to score; beside the images as JSON, form fields or query parameters."""

    model: ModelName
    draws: int = Field(
        1, ge=1, le=64, description="Dequantizations, averaged as importance weights."
    )
    probes: int = _SCORING["probes"]
    trace: Literal["probes", "exact"] = _SCORING["trace"]
    latent: Literal["encoded", "sampled"] = _SCORING["latent"]
    tolerance_nats: float = _SCORING["tolerance_nats"]
    seed: int = Field(
        0, ge=0, le=MAX_SEED, description="Noise is drawn by the seed and the image's content."
    )
    timeout_s: Timeout = None


class LikelihoodRequest(LikelihoodParameters):
    """Images to score."""

    images: tuple[str, ...] = Field(description="Base64 of PNGs of the model's shape.")


class AnomalyParameters(_Request):
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
    seed: int = Field(
        0, ge=0, le=MAX_SEED, description="Noise is drawn by the seed and the image's content."
    )
    timeout_s: Timeout = None


class AnomalyRequest(AnomalyParameters):
    """Images to judge."""

    images: tuple[str, ...] = Field(description="Base64 of PNGs of the model's shape.")


class Timing(_Answer):
    """Where the time went."""

    queued_s: float = Field(description="From admission until a worker began.")
    running_s: float


class SampledImage(_Answer):
    """One image."""

    index: int
    png: str = Field(description="Base64 of a PNG; a pixel is round(255 v / (V - 1)).")
    nfe: int = Field(description="Network evaluations.")
    acceptance_rate: float | None = Field(
        description="Share of proposals accepted; null where the solver makes none."
    )
    latent: tuple[int, ...] = Field(description="Indices of the latent's ones.")


class SampleAnswer(_Answer):
    """(checkpoint, solver, seed, index, execution) determine an image."""

    id: str
    model: str
    checkpoint: str = Field(description="SHA-256 of the weights.")
    execution: str = Field(description="Device type, runtime, dtype and build.")
    seed: int
    solver: SamplerSpec = Field(description="Every parameter, resolved.")
    images: tuple[SampledImage, ...]
    timing: Timing


class ScoreTerms(_Answer):
    """What adds up to the bound, in nats; the mean over draws."""

    prior: float | None
    log_det: float | None
    dequantization: float | None
    latent: float | None


class ImageScore(_Answer):
    """Likelihood of one image in nats, or the reason why there is none."""

    index: int
    status: Literal["ok", "failed"]
    log_px_given_z: float | None = Field(description="Bound on log P(image | its latent).")
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


class LikelihoodSettings(_Answer):
    """Every parameter, resolved."""

    draws: int
    probes: int
    trace: Literal["probes", "exact"]
    latent: Literal["encoded", "sampled"]
    tolerance_nats: float
    max_evaluations: int
    seed: int


class LikelihoodAnswer(_Answer):
    """One score an image, in the order of the request."""

    id: str
    model: str
    checkpoint: str = Field(description="SHA-256 of the weights.")
    execution: str = Field(description="Device type, runtime, dtype and build.")
    results: tuple[ImageScore, ...]
    settings: LikelihoodSettings
    timing: Timing


class ImageVerdict(_Answer):
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


class AnomalySettings(_Answer):
    """Every parameter, resolved; the solver's are the calibration's."""

    alpha: float
    seed: int
    solver: FlowPath
    calibration_images: int = Field(description="m.")


class AnomalyAnswer(_Answer):
    """One verdict an image, in the order of the request."""

    id: str
    model: str
    checkpoint: str = Field(description="SHA-256 of the weights.")
    execution: str = Field(description="Device type, runtime, dtype and build.")
    results: tuple[ImageVerdict, ...]
    settings: AnomalySettings
    timing: Timing


class Latent(_Answer):
    """A k-hot vector of length n."""

    n: int
    k: int


class Limits(_Answer):
    """What one request may ask for."""

    max_images: int
    max_body_bytes: int
    max_row_evaluations: int
    max_timeout_s: float


class ModelAnswer(_Answer):
    """A checkpoint that is served."""

    name: str
    checkpoint: str = Field(description="SHA-256 of the weights.")
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


class ModelsAnswer(_Answer):
    """Everything that is served."""

    models: tuple[ModelAnswer, ...]


class FieldProblem(_Answer):
    """One field at fault."""

    field: str
    message: str


class Problem(_Answer):
    """RFC 9457. `code` tells programs what `detail` tells people."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    job: str | None = Field(None, exclude_if=lambda job: job is None)
    errors: tuple[FieldProblem, ...] = Field((), exclude_if=lambda errors: not errors)


class State(_Answer):
    """Of the process."""

    status: Literal["alive", "ready"]
