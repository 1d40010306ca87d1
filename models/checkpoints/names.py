"""Names of checkpoints that are imported."""

import re
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from models.schema.errors import CheckpointError
from models.schema.manifest import Name, first_fault

_NAME: TypeAdapter[str] = TypeAdapter(Name)


def name_of(folder: Path) -> str:
    """Derive a checkpoint's name from a folder's."""
    return re.sub(r"[^a-z0-9._-]+", "-", folder.name.lower()).strip("-._")[:64] or "imported"


def checked_name(name: str) -> str:
    """Return `name` if a checkpoint may have it. Raises CheckpointError."""
    try:
        return _NAME.validate_python(name)
    except ValidationError as error:
        raise CheckpointError(f"name {name!r}: {first_fault(error)}") from error
