"""The calibration of a checkpoint, of whatever format, as a file beside its manifest.

Torch-free.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from models.anomaly.calibration import Calibration
from models.anomaly.level_calibration import LevelCalibration
from models.anomaly.ranked import CALIBRATION
from models.files.folders import write_atomically
from models.schema.errors import CheckpointError
from models.schema.manifest import Manifest, first_fault
from models.schema.regular import read_regular

AnyCalibration = Annotated[Calibration | LevelCalibration, Field(discriminator="format")]
# Room for the scores and peaks of 200,000 calibration images, about 20 bytes each.
MOST_BYTES = 8 << 20
_ANY: TypeAdapter[AnyCalibration] = TypeAdapter(AnyCalibration)


def save_calibration(folder: Path, calibration: AnyCalibration) -> None:
    """Write the calibration beside the manifest."""
    write_atomically(folder / CALIBRATION, (calibration.model_dump_json() + "\n").encode())


def read_calibration(folder: Path, manifest: Manifest) -> AnyCalibration | None:
    """Read the calibration of the checkpoint in `folder`, or return None where there is none.

    Raises CheckpointError for one that is damaged, past `MOST_BYTES`, not a regular file, or not
    of this checkpoint.
    """
    path = folder / CALIBRATION
    try:
        found = _ANY.validate_json(read_regular(path, MOST_BYTES))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        raise CheckpointError(f"{path}: {first_fault(error)}") from error
    found.check(manifest)
    _check_class(found.solver.class_label, manifest.config.classes)
    return found


def _check_class(label: int | None, classes: int) -> None:
    """Raise CheckpointError unless a model with classes is calibrated for one of them."""
    if label is not None and not classes:
        raise CheckpointError(f"{CALIBRATION} is for the class {label}, and the model has none")
    if classes and (label is None or label >= classes):
        raise CheckpointError(
            f"{CALIBRATION} is for the class {label}, and the model has {classes}, from 0 on; "
            "calibrate with --class-label"
        )
