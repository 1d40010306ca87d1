"""`mulan models export safetensors`."""

from pathlib import Path

from models.checkpoints.checkpoint import load_checkpoint
from models.checkpoints.safetensors_export import export_safetensors
from models.cli.lazy import Outcome
from models.files.shelf import find


def safetensors(name: str, root: Path, out: Path, official: bool) -> Outcome:
    """Write the tensors of a checkpoint to the file `out`."""
    checkpoint = load_checkpoint(find(name, root)[0])
    export_safetensors(checkpoint, out, official=official)
    return Outcome({"name": checkpoint.manifest.name, "files": [str(out)]}, str(out))
