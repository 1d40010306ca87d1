"""Finding checkpoints: folders with a manifest. Torch-free."""

from collections.abc import Sequence
from pathlib import Path

from models.errors import CheckpointError
from models.manifest import MANIFEST, Manifest, read_manifest
from models.zoo import ZOO


def checkpoint_folders(roots: Sequence[Path] = (ZOO,)) -> list[Path]:
    """Folders that hold a manifest: the roots themselves, and what lies directly below them."""
    found: list[Path] = []
    for root in roots:
        found += [root] if (root / MANIFEST).exists() else sorted(
            path.parent for path in root.glob(f"*/{MANIFEST}")
        )
    return found


def find(name: str, roots: Sequence[Path] = (ZOO,)) -> tuple[Path, Manifest]:
    """The checkpoint at the path `name`, or the one so named below the roots.

    Raises CheckpointError, with the names that there are.
    """
    if (Path(name) / MANIFEST).exists():
        return Path(name), read_manifest(Path(name))
    names = []
    for folder in checkpoint_folders(roots):
        manifest = read_manifest(folder)
        if manifest.name == name:
            return folder, manifest
        names.append(manifest.name)
    raise CheckpointError(f"no checkpoint {name}; there are: {', '.join(names) or 'none'}")
