"""The photographs that a checkpoint was made with, by the digests of their pixels."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from models.files.folders import write_atomically
from models.schema.errors import DataError
from models.schema.manifest import DataPart, first_fault
from models.schema.regular import read_regular

PICTURES = "pictures.json"
_MOST_BYTES = 64 << 20


class PictureRecord(BaseModel):
    """The content of `pictures.json`: digests by part, and the digest of the rule that made the
    pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: str
    parts: dict[DataPart, tuple[str, ...]]

    def save(self, folder: Path) -> None:
        """Write the record into a checkpoint's folder."""
        write_atomically(folder / PICTURES, (self.model_dump_json() + "\n").encode())


def read_record(folder: Path) -> PictureRecord | None:
    """Read the record of a checkpoint's folder, or return None where there is none.

    Raises DataError for a damaged one.
    """
    path = folder / PICTURES
    try:
        return PictureRecord.model_validate_json(read_regular(path, _MOST_BYTES))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        raise DataError(f"{path}: {first_fault(error)}") from error
