"""Checkpoints are folders with a manifest, found by name or by path. Torch-free."""

import os
from collections.abc import Iterator
from pathlib import Path

from models.schema.errors import CheckpointError, NoManifestError
from models.schema.manifest import MANIFEST, Manifest, read_manifest
from models.zoo import ZOO


def folders(root: Path = ZOO) -> list[Path]:
    """Folders and symbolic links directly below `root`, by name, which may hold checkpoints; `root`
    alone where it is a checkpoint itself.

    Nothing in them is touched, since one of them may be on a file server that never answers. Names
    that begin with a dot are left out, as folders that are still being written have them, and
    those that begin with two underscores, which are Python's.
    """
    try:
        with os.scandir(root) as found:
            entries = list(found)
    except OSError:
        return []
    if any(entry.name == MANIFEST for entry in entries):
        return [root]
    names = [entry.name for entry in entries if _may_be_a_folder(entry)]
    return [root / name for name in sorted(names) if not name.startswith((".", "__"))]


def manifests(root: Path = ZOO) -> Iterator[tuple[Path, Manifest | CheckpointError]]:
    """Yield each folder directly below `root` that holds a manifest, by name, with its manifest or
    with the error that refuses it."""
    for folder in folders(root):
        try:
            yield folder, read_manifest(folder)
        except NoManifestError:
            continue
        except CheckpointError as error:
            yield folder, error


def find(name: str, root: Path = ZOO) -> tuple[Path, Manifest]:
    """Return the checkpoint in the folder `name`, or the one of that name below `root`, with its
    manifest.

    A folder with a damaged manifest is passed over unless its own name is `name`. Raises
    CheckpointError, which lists the names that exist, and where `name` is a folder here and another
    one below `root`.
    """
    here = Path(name)
    if not (here / MANIFEST).exists():
        return _below(name, root)
    manifest = read_manifest(here)
    try:
        other, _ = _below(name, root)
    except CheckpointError:
        return here, manifest
    if here.samefile(other):
        return here, manifest
    raise CheckpointError(
        f"{name} is a checkpoint in this folder and another one in {root}; "
        f"write ./{name} or {other}"
    )


def _below(name: str, root: Path) -> tuple[Path, Manifest]:
    names = []
    for folder, found in manifests(root):
        if isinstance(found, CheckpointError):
            if folder.name == name:
                raise found
            continue
        if found.name == name:
            return folder, found
        names.append(found.name)
    hint = f"the folder {name} has no {MANIFEST}; " if Path(name).is_dir() else ""
    raise CheckpointError(f"no checkpoint {name}; {hint}available: {', '.join(names) or 'none'}")


def _may_be_a_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() or entry.is_dir(follow_symlinks=False)
