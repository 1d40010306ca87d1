"""Models of the library diffusers become checkpoint folders."""

import hashlib
import re
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from models.checkpoints.checkpoint import check_tensors, save_manifest, save_weights
from models.checkpoints.diffusers_settings import (
    PREDICTIONS,
    Found,
    image_shape,
    read_folder,
    unet_of,
)
from models.checkpoints.names import checked_name, name_of
from models.files.folders import new_folder
from models.network.diffusers_unet import DiffusersUnet, log_noise
from models.schema.config import MOST_PARAMETERS
from models.schema.diffusers_unet import DiffusersConfig
from models.schema.errors import CheckpointError
from models.schema.manifest import Manifest, Origin, first_fault
from models.schema.regular import read_regular

WEIGHTS = "diffusion_pytorch_model.safetensors"
_PREFIX = "score.unet."
_HEADER_BYTES = 4 << 20
_BYTES_A_PARAMETER = 8
# The names of attention in files from before diffusers 0.15.
_OLD_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_OLD = re.compile(rf"(\.attentions\.\d+\.)({'|'.join(_OLD_NAMES)})(\.(?:weight|bias))$")


def import_diffusers(
    folder: Path,
    out: Path | None = None,
    name: str | None = None,
    classes: int | None = None,
) -> tuple[Manifest, Path]:
    """Write the checkpoint folder `out` from a pipeline's or a model's folder of diffusers, and
    return its manifest and its place.

    `out` is the checkpoint's name below the present folder by default; it appears only when
    everything is verified. Of the network's classes the first `classes` may be named, or all.
    Raises CheckpointError, which names the file, the setting or the tensor, for a model that is
    damaged or not supported, and when `out` exists already; MissingExtraError where diffusers is
    not installed.
    """
    chosen = checked_name(name or name_of(out or folder.resolve()))
    found = read_folder(folder)
    out = out or Path(chosen)
    with new_folder(out) as made:
        alphas = found.schedule.alphas_cumprod()
        gammas = log_noise(alphas)
        if not (gammas.isfinite().all() and (gammas.diff() > 0).all()):
            raise CheckpointError(f"{folder}: the noise of the scheduler does not rise all along")
        config = _config(found, gammas[0].item(), gammas[-1].item(), classes)
        content = _read(found.model.parent / WEIGHTS, config.parameters)
        tensors = _tensors(content, _empty(config).score, str(found.model.parent / WEIGHTS))
        weights = {_PREFIX + key: tensor for key, tensor in tensors.items()}
        manifest = Manifest(
            name=chosen,
            config=config,
            sha256=save_weights(made, config, weights | {"alphas_cumprod": alphas}),
            parameters=config.parameters,
            origin=Origin(
                file=WEIGHTS,
                sha256=hashlib.sha256(content).hexdigest(),
                parameters=None,
                step=None,
            ),
        )
        save_manifest(made, manifest)
    return manifest, out


def _config(
    found: Found, gamma_min: float, gamma_max: float, classes: int | None
) -> DiffusersConfig:
    """Return the configuration, with the parameters counted."""
    settings = {
        "image_shape": image_shape(found.network, found.model),
        "vocabulary": 256,
        "parameterisation": PREDICTIONS[found.schedule.prediction_type],
        "gamma_min": gamma_min,
        "gamma_max": gamma_max,
        "timesteps": found.schedule.num_train_timesteps,
        "unet": unet_of(found.network, found.model),
        "named_classes": classes,
    }
    try:
        config = DiffusersConfig.model_validate(settings | {"network_parameters": MOST_PARAMETERS})
        count = sum(tensor.numel() for tensor in _empty(config).parameters())
        return DiffusersConfig.model_validate(settings | {"network_parameters": count})
    except ValidationError as error:
        raise CheckpointError(f"{found.model}: {first_fault(error)}") from error


def _empty(config: DiffusersConfig) -> DiffusersUnet:
    """Return the network without values. Raises CheckpointError for one that diffusers refuses."""
    with torch.device("meta"):
        return DiffusersUnet(config)


def _read(path: Path, parameters: int) -> bytes:
    """Return the content of the weights' file. Raises CheckpointError."""
    if not path.exists():
        others = sorted(
            other.name
            for other in path.parent.iterdir()
            if other.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl")
        )
        if others:
            raise CheckpointError(
                f"{path.parent / others[0]}: a pickle, which may execute code and is not read; "
                f"save the model again as safetensors, whose file is {WEIGHTS}"
            )
        raise CheckpointError(f"{path}: no such file; weights in several files are not supported")
    try:
        return read_regular(path, _HEADER_BYTES + _BYTES_A_PARAMETER * parameters)
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from error


def _tensors(content: bytes, score: nn.Module, origin: str) -> dict[str, Tensor]:
    """Return the network's tensors by diffusers' names, float32. Raises CheckpointError."""
    try:
        given = load(content)
    except SafetensorError as error:
        raise CheckpointError(f"{origin}: {error}") from error
    tensors = {_OLD.sub(_renamed, name): tensor for name, tensor in given.items()}
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise CheckpointError(f"{origin}: tensor {name} is {tensor.dtype}, expected float32")
    ready = {name: tensor.float().contiguous() for name, tensor in tensors.items()}
    check_tensors(ready, score.get_submodule("unet"), origin)
    return ready


def _renamed(match: re.Match[str]) -> str:
    return f"{match[1]}{_OLD_NAMES[match[2]]}{match[3]}"
