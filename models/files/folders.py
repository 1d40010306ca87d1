"""Writing files and folders so that a reader never sees half of one."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.schema.errors import CheckpointError

# Some writers keep to themselves what they write; a checkpoint is for whoever serves it.
READABLE = 0o644


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place beside `path` to write a file to; it takes the place of `path` if all went well."""
    partial = _beside(path)
    try:
        yield partial
        partial.chmod(READABLE)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` to fill; it becomes `path` if all went well, else it is removed.

    Raises CheckpointError when `path` is there already.
    """
    if path.exists() or path.is_symlink():
        raise CheckpointError(f"{path} is there already")
    partial = _beside(path)
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` beside `path`, then rename it into place."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.partial")
