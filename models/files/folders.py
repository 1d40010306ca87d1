"""Files and folders are written beside their final place and renamed, so no reader sees half of
one."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.schema.errors import CheckpointError

# Some writers make files that only their owner may read; a checkpoint is read by any server.
READABLE = 0o644


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write a file to; it replaces `path` if no exception is
    raised."""
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
    """Yield a new folder beside `path` to fill; it is renamed to `path` if no exception is raised,
    else removed.

    Raises CheckpointError when `path` exists already.
    """
    if path.exists() or path.is_symlink():
        raise CheckpointError(f"{path} exists already")
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
