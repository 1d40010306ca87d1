"""A checkpoint's tensors for other programs."""

from pathlib import Path

from safetensors.torch import save_file

from models.checkpoints.checkpoint import Checkpoint
from models.checkpoints.flax_names import official_path, to_official
from models.files.folders import replacing
from models.schema.errors import CheckpointError
from models.schema.manifest import CONFIG_KEY, Manifest


def export_safetensors(checkpoint: Checkpoint, out: Path, *, official: bool) -> None:
    """Write all tensors to one file, under our names or in the official code's names and layout;
    the configuration goes with them.

    Raises CheckpointError for official names of a network that the official code would run
    otherwise.
    """
    if official:
        _check_official(checkpoint.manifest)
    tensors = dict(checkpoint.model.state_dict())
    if official:
        tensors = {
            official_path(name): to_official(name, tensor) for name, tensor in tensors.items()
        }
    ready = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(out) as partial:
        save_file(ready, partial, {CONFIG_KEY: checkpoint.manifest.config.model_dump_json()})


def _check_official(manifest: Manifest) -> None:
    """Only what changes no tensor's shape can go unnoticed there; all of it is refused here."""
    config = manifest.config
    for departs, what in (
        (config.coarse_width, "a coarse stage"),
        (config.fourier_fade, "input features that fade with the noise"),
        (not config.residual, "no x added to its output"),
    ):
        if departs:
            raise CheckpointError(
                f"{manifest.name} has {what}, which the official network cannot have"
            )
