"""Writing files so that a reader never sees half of one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Some writers keep to themselves what they write; a checkpoint is for whoever serves it.
READABLE = 0o644


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to; it takes the place of `path` when all went well."""
    partial = path.with_name(f".{path.name}.partial")
    yield partial
    partial.chmod(READABLE)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` beside `path`, then rename it into place."""
    with replacing(path) as partial:
        partial.write_bytes(content)
