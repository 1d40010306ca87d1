"""A checkpoint's tensors for other programs."""

from pathlib import Path

from safetensors.torch import save_file

from models.checkpoints.checkpoint import Checkpoint
from models.checkpoints.flax_names import official_path, to_official
from models.checkpoints.official import require_official
from models.files.folders import replacing
from models.schema.architectures import require_mulan
from models.schema.manifest import CONFIG_KEY


def export_safetensors(checkpoint: Checkpoint, out: Path, *, official: bool) -> None:
    """Write all tensors to the file `out`, with the configuration in its metadata.

    The names and layouts are ours, or with `official` those of the official code. Raises
    CheckpointError for official names of a network that the official code cannot express.
    """
    manifest, tensors = checkpoint.manifest, dict(checkpoint.model.state_dict())
    if official:
        require_official(require_mulan(manifest.config, "the official format"), manifest.name)
        tensors = {
            official_path(name): to_official(name, tensor) for name, tensor in tensors.items()
        }
    ready = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(out) as partial:
        save_file(ready, partial, {CONFIG_KEY: manifest.config.model_dump_json()})
