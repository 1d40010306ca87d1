"""What several requests or answers have."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_SEED = 2**53 - 1


class RequestModel(BaseModel):
    """No field but those named, and no number that is none."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ResponseModel(BaseModel):
    """A number that is none is null."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")


ModelName = Annotated[str, Field(max_length=64, description="A name from /v1/models.")]
Timeout = Annotated[
    float | None,
    Field(
        gt=0,
        description="Seconds after which the work is dropped and 504 answered; "
        "at most the server's own limit, which also holds where it is left out.",
    ),
]
PriorityName = Annotated[
    Literal["low", "normal", "high"],
    Field(description="Whose turn it is among what waits; of equals, the oldest job's."),
]
PRIORITIES: dict[str, int] = {"low": -1, "normal": 0, "high": 1}
ContentSeed = Annotated[
    int,
    Field(ge=0, le=MAX_SEED, description="Noise is drawn by the seed and the image's content."),
]
Pngs = Annotated[
    tuple[str, ...], Field(description="PNGs of the model's shape: base64, or `data:` URLs.")
]
Checkpoint = Annotated[str, Field(description="SHA-256 of the weights.")]
Execution = Annotated[str, Field(description="Device type, runtime, dtype and build.")]


class Timing(ResponseModel):
    """Where the time went."""

    queued_s: float = Field(description="From admission until a worker began.")
    running_s: float
