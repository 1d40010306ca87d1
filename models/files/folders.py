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


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path` to fill; it takes the place of `path` if no exception is
    raised, else it is removed.

    Between two renamings there is no folder at `path`, for less than a millisecond. Raises
    CheckpointError when `path` is a link or a file.
    """
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise CheckpointError(f"{path} is not a folder")
    partial = _beside(path)
    old = partial.with_suffix(".old")
    partial.mkdir(parents=True)
    try:
        yield partial
        if path.exists():
            path.rename(old)
        try:
            partial.rename(path)
        except OSError:
            old.rename(path)
            raise
    finally:
        for rest in (partial, old):
            shutil.rmtree(rest, ignore_errors=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` beside `path`, then rename it into place."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.partial")
