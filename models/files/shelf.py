"""Finding checkpoints: folders with a manifest. Torch-free."""

from pathlib import Path

from models.schema.errors import CheckpointError
from models.schema.manifest import MANIFEST, Manifest, read_manifest
from models.zoo import ZOO


def checkpoint_folders(root: Path = ZOO) -> list[Path]:
    """The folders directly below `root` that hold a manifest, by name."""
    return sorted(path.parent for path in root.glob(f"*/{MANIFEST}"))


def find(name: str, root: Path = ZOO) -> tuple[Path, Manifest]:
    """The checkpoint in the folder `name`, or the one so named below `root`.

    A damaged manifest hides only its own folder. Raises CheckpointError, with the names that
    there are.
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
    raise CheckpointError(f"no checkpoint {name}; there are: {', '.join(names) or 'none'}")
