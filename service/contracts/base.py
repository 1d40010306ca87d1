"""Fields and base classes that requests and answers share."""

from typing import Annotated, Any, Literal, LiteralString, Protocol

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

MAX_SEED = 2**53 - 1
# Tags of a choice between a solver by name and a preset. Validation errors name them beside the
# fields that a client wrote; BY_NAME is followed by the solver's name.
BY_NAME, BY_PRESET = "by-name", "by-preset"


def worded(name: LiteralString, words: LiteralString) -> WrapValidator:
    """Return a validator that describes each fault of a field in these words, under the name of an
    error. Where a value may be of several types, there would be a fault for each of them."""

    def validated(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        try:
            return validate(value)
        except ValidationError:
            raise PydanticCustomError(name, words) from None

    return WrapValidator(validated)


class RequestModel(BaseModel):
    """A request with no fields but those named and with finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ResponseModel(BaseModel):
    """An answer in which NaN and infinity are null."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")


ModelName = Annotated[str, Field(max_length=64, description="A name from /v1/models.")]
Timeout = Annotated[
    float | None,
    Field(
        gt=0,
        description="Seconds after which the work is dropped and 504 answered. A number above the "
        "model's `limits.max_timeout_s` in /v1/models counts as that limit. Left out, it is the "
        "server's default for requests that wait, and that limit for jobs.",
    ),
]
PriorityName = Annotated[
    Literal["low", "normal", "high"],
    Field(
        description="Queued jobs run in order of priority, and within one priority oldest first."
    ),
]
PRIORITIES: dict[str, int] = {"low": -1, "normal": 0, "high": 1}
ContentSeed = Annotated[
    int,
    Field(
        ge=0,
        le=MAX_SEED,
        description="Key of the noise, together with the content of each image.",
    ),
]
Pngs = Annotated[
    tuple[str, ...],
    Field(
        fail_fast=True,
        description="PNGs of the model's shape, or photographs for a model with preprocessing: "
        "base64, or `data:` URLs.",
    ),
]
Checkpoint = Annotated[str, Field(description="SHA-256 of the weights.")]
Execution = Annotated[str, Field(description="Device type, runtime, dtype and build.")]


class Timing(ResponseModel):
    """Seconds that the job waited and ran."""

    queued_s: float = Field(description="Seconds from admission until a worker began.")
    running_s: float = Field(description="Seconds from then until the result.")


class Work(Protocol):
    """The fields of a request that matter to every kind of work."""

    @property
    def model(self) -> str:
        """Name of the checkpoint."""
        ...

    @property
    def timeout_s(self) -> float | None:
        """Seconds that the client waits at most; None leaves it to the server."""
        ...

    @property
    def priority(self) -> str:
        """A key of PRIORITIES."""
        ...

    def model_dump_json(self) -> str:
        """The whole request as JSON, defaults filled in."""
        ...
