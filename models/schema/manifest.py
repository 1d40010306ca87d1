"""The manifest, a JSON file beside the weights that describes a checkpoint. Torch-free."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.schema.architectures import ARCHITECTURES, AnyConfig
from models.schema.errors import CheckpointError, NoManifestError
from models.schema.ode_error import UNCALIBRATED, OdeErrorRecord, OdeErrorScales
from models.schema.preprocessing import PictureRule
from models.schema.regular import read_regular

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
CONFIG_KEY = "mulan.config"
# The shipped manifests have 40 kB, most of which grows with the length of the training.
MOST_BYTES = 4 << 20
_LONGEST_FAULT = 300

DataPart = Literal["train", "density", "calibration", "test"]
NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Indices(_Record):
    """One part of a split: the number of its images and the SHA-256 of their sorted int64
    indices, or for photographs of the sorted digests of their pixels."""

    count: int
    sha256: str


class DataRecord(_Record):
    """The images that a checkpoint was trained on, and how they were divided."""

    source: str = Field(description="Name or file name of the images that were divided.")
    sha256: str = Field(
        description="SHA-256 of the token array that was divided, in C order; for photographs, of "
        "the sorted digests of their pixels."
    )
    test_source: str | None = Field(None, description="The separate test images, if there are any.")
    test_sha256: str | None = None
    licence: str = ""
    split_seed: int
    split: dict[DataPart, Indices]


class TrainingRecord(_Record):
    """The training of the weights, recorded so that anyone can repeat it."""

    command: str
    recipe: dict[str, Any]
    seed: int
    started_from: str | None = Field(
        None,
        description="SHA-256 of the weights with which training began, where they were not random.",
        exclude_if=lambda sha256: sha256 is None,
    )
    steps: int
    kept_step: int | None = Field(
        None,
        description="The step whose weights were kept, where it is not the last.",
        exclude_if=lambda step: step is None,
    )
    seconds: float
    machine: str
    torch: str
    history: list[dict[str, float]] = Field(
        description="One entry for each evaluation of held-out images; see Progress."
    )
    held_out_draws: int = Field(
        1, description="Noise draws of each held-out image; a single one depends on `seed`."
    )


class Origin(_Record):
    """The checkpoint file that was imported."""

    file: str
    sha256: str = Field(description="SHA-256 of the file as it was read.")
    parameters: Literal["ema", "raw"] | None = Field(
        description="The averaged or the raw parameters; null where the file does not say."
    )
    step: int | None = Field(description="Training steps, as recorded in the file.")


class Manifest(_Record):
    """The content of `manifest.json`.

    The identity of a checkpoint is the SHA-256 of its weights file, which also carries the
    configuration.
    """

    format: Literal[1] = 1
    name: Name
    config: AnyConfig
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the weights file.")
    parameters: int
    preprocessing: PictureRule | None = Field(
        None,
        description="The rule by which photographs become images of the model. Without one, images "
        "must have the model's shape and levels.",
        exclude_if=lambda rule: rule is None,
    )
    data: DataRecord | None = None
    training: TrainingRecord | None = None
    origin: Origin | None = None
    presets: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Solver settings by preset name."
    )
    tuning: dict[str, Any] = Field(
        default_factory=dict, description="The measurements that the presets were chosen by."
    )
    evaluation: dict[str, Any] = Field(default_factory=dict)
    ode_error: OdeErrorRecord | None = Field(
        None,
        description="The calibration of the error that the ODE's solver estimates of likelihoods.",
        exclude_if=lambda record: record is None,
    )

    @property
    def ode_error_scales(self) -> OdeErrorScales:
        """The factors in the estimate of the ODE's error."""
        return UNCALIBRATED if self.ode_error is None else self.ode_error.scales

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.preprocessing is not None:
            self.preprocessing.check(self.config)
        return self


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of one checkpoint folder.

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
    # The tag of an architecture is no field, but pydantic names it on the way to one.
    field = ".".join(str(part) for part in first["loc"] if part not in ARCHITECTURES)
    message = first["msg"].removeprefix("Value error, ")
    line = f"{field}: {message}" if field else message
    escaped = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line[:_LONGEST_FAULT])
    return escaped if len(line) <= _LONGEST_FAULT else f"{escaped}..."
