"""Checkpoints are folders with a manifest, found by name or by path. Torch-free."""

from pathlib import Path

from models.schema.errors import CheckpointError
from models.schema.manifest import MANIFEST, Manifest, read_manifest
from models.zoo import ZOO


def checkpoint_folders(root: Path = ZOO) -> list[Path]:
    """Return the folders directly below `root` that hold a manifest, sorted by name."""
    return sorted(path.parent for path in root.glob(f"*/{MANIFEST}"))


def find(name: str, root: Path = ZOO) -> tuple[Path, Manifest]:
    """Return the checkpoint in the folder `name`, or the one of that name below `root`, with its
    manifest.

    A folder with a damaged manifest is passed over unless its own name is `name`. Raises
    CheckpointError, which lists the names that exist.
    """
    if (Path(name) / MANIFEST).exists():
        return Path(name), read_manifest(Path(name))
    names = []
    for folder in checkpoint_folders(root):
        try:
            manifest = read_manifest(folder)
        except CheckpointError:
            if folder.name == name:
                raise
            continue
        if manifest.name == name:
            return folder, manifest
        names.append(manifest.name)
    raise CheckpointError(f"no checkpoint {name}; available: {', '.join(names) or 'none'}")
