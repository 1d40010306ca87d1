"""A checkpoint's tensors for other programs."""

from pathlib import Path

from safetensors.torch import save_file

from models.checkpoint import Checkpoint
from models.errors import CheckpointError
from models.files import replacing
from models.flax_names import official_path, to_official
from models.manifest import CONFIG_KEY


def export_safetensors(checkpoint: Checkpoint, out: Path, *, official: bool) -> None:
    """Write all tensors to one file, under our names or in the official code's names and layout;
    the configuration goes with them.

    Raises CheckpointError for official names of a stage that the official network lacks.
    """
    if official and checkpoint.manifest.config.coarse_width:
        raise CheckpointError(
            f"{checkpoint.manifest.name} has a coarse stage, for which there are no official names"
        )
    tensors = dict(checkpoint.model.state_dict())
    if official:
        tensors = {
            official_path(name): to_official(name, tensor) for name, tensor in tensors.items()
        }
    ready = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(out) as partial:
        save_file(ready, partial, {CONFIG_KEY: checkpoint.manifest.config.model_dump_json()})
