"""The JSON beside the weights: what a checkpoint is and where it came from. Torch-free."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.schema.config import ModelConfig
from models.schema.errors import CheckpointError, NoManifestError
from models.schema.regular import read_regular

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
CONFIG_KEY = "mulan.config"
# The shipped manifests have 40 kB, most of which grows with the length of the training.
MOST_BYTES = 4 << 20
_LONGEST_FAULT = 300

DataPart = Literal["train", "density", "calibration", "test"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Indices(_Record):
    """One part of a split: how many images, and the SHA-256 of their sorted int64 indices."""

    count: int
    sha256: str


class DataRecord(_Record):
    """The images a checkpoint was trained on, and how they were divided."""

    source: str = Field(description="Name or file name of the images that were divided.")
    sha256: str = Field(description="Of the token array that was divided, C order.")
    test_source: str | None = Field(None, description="The separate test images, if there are any.")
    test_sha256: str | None = None
    licence: str = ""
    split_seed: int
    split: dict[DataPart, Indices]


class TrainingRecord(_Record):
    """How the weights were made, so that anyone can make them again."""

    command: str
    recipe: dict[str, Any]
    seed: int
    steps: int
    seconds: float
    machine: str
    torch: str
    history: list[dict[str, float]] = Field(description="One entry a watch; see Progress.")
    held_out_draws: int = Field(
        1, description="Noise draws of each held-out image at a watch; a single one was by `seed`."
    )


class Origin(_Record):
    """The official checkpoint file that was imported."""

    file: str
    sha256: str = Field(description="Of the file as it was read.")
    parameters: Literal["ema", "raw"] = Field(description="Averaged, or as they were.")
    step: int | None = Field(description="Training steps, as the file has them.")


class Manifest(_Record):
    """`manifest.json`. The SHA-256 of the weights file, which also carries the configuration, is
    the checkpoint's identity."""

    format: Literal[1] = 1
    name: Name
    config: ModelConfig
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the weights file.")
    parameters: int
    data: DataRecord | None = None
    training: TrainingRecord | None = None
    origin: Origin | None = None
    presets: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Solver settings by preset name."
    )
    tuning: dict[str, Any] = Field(
        default_factory=dict, description="Where the presets come from: every sampler measured."
    )
    evaluation: dict[str, Any] = Field(default_factory=dict)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of one checkpoint folder.

    Raises NoManifestError when there is none, and CheckpointError when it is malformed, larger than
    `MOST_BYTES` or not a regular file.
    """
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(read_regular(path, MOST_BYTES))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoManifestError(f"{folder}: no {MANIFEST}") from error
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        raise CheckpointError(f"{path}: {first_fault(error)}") from error


def first_fault(error: ValidationError) -> str:
    """The first fault of a document, in one line: the field, and what is wrong with it.

    Names of fields come from the document, so unprintable characters are escaped and a long line
    is cut.
    """
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    line = f"{field}: {first['msg']}" if field else first["msg"]
    escaped = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line[:_LONGEST_FAULT])
    return escaped if len(line) <= _LONGEST_FAULT else f"{escaped}..."
