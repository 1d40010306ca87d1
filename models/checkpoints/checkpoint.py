"""Checkpoints are a safetensors file and a JSON manifest: verified when read, never executed."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, nn

from models.files.folders import replacing, write_atomically
from models.network.build import build
from models.network.network import Network
from models.schema.architectures import AnyConfig, parse_config
from models.schema.config import ModelConfig
from models.schema.errors import CheckpointError
from models.schema.manifest import CONFIG_KEY, MANIFEST, WEIGHTS, Manifest, read_manifest
from models.schema.regular import read_regular

_BYTES_A_PARAMETER = 4
# The header lists the tensors, about 120 bytes for each.
_HEADER_BYTES = 4 << 20


class Checkpoint(NamedTuple):
    """A verified model with its manifest."""

    manifest: Manifest
    model: Network


def load_checkpoint(folder: Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Load and verify the checkpoint in `folder`.

    Raises CheckpointError, naming the file or tensor: a missing or truncated file, one that is not
    regular or larger than the configuration implies, a hash other than the manifest's, a
    configuration other than the one inside the weights, a missing, unexpected, misshapen or
    non-finite tensor, or one that is not float32. Raises MissingExtraError where the networks need
    a package that is not installed.
    """
    manifest = read_manifest(folder)
    path = folder / WEIGHTS
    implied = manifest.config.parameters
    if manifest.parameters != implied:
        raise CheckpointError(
            f"{folder / MANIFEST}: its configuration has {implied} parameters, the manifest says "
            f"{manifest.parameters}"
        )
    try:
        content = read_regular(path, _HEADER_BYTES + _BYTES_A_PARAMETER * implied)
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != manifest.sha256:
        raise CheckpointError(f"{path}: SHA-256 is {digest}, the manifest says {manifest.sha256}")
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: {error}") from error
    if _embedded_config(content) != manifest.config:
        raise CheckpointError(f"{path}: its configuration differs from the manifest's")
    with torch.device("meta"):
        model = build(manifest.config)
    check_tensors(tensors, model, str(path))
    model.load_state_dict(tensors, assign=True)
    model.verify(str(path))
    return Checkpoint(manifest, model.to(device).eval().requires_grad_(False))


def save_weights(folder: Path, config: ModelConfig, tensors: dict[str, Tensor]) -> str:
    """Write the weights file with the configuration in its metadata; returns the file's SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    ordered = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}
    with replacing(folder / WEIGHTS) as partial:
        save_file(ordered, partial, metadata={CONFIG_KEY: config.model_dump_json()})
        with partial.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def save_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest. Write it last: a folder without a manifest is not yet a checkpoint."""
    write_atomically(folder / MANIFEST, (manifest.model_dump_json(indent=2) + "\n").encode())


def check_tensors(tensors: dict[str, Tensor], model: nn.Module, origin: str) -> None:
    """Raise CheckpointError unless `tensors` are the parameters of `model`, finite and float32."""
    expected = model.state_dict()
    for name in sorted(expected.keys() - tensors.keys()):
        raise CheckpointError(f"{origin}: tensor {name} is missing")
    for name in sorted(tensors.keys() - expected.keys()):
        raise CheckpointError(f"{origin}: tensor {name} is unexpected")
    for name, tensor in tensors.items():
        shape = tuple(expected[name].shape)
        if tuple(tensor.shape) != shape:
            raise CheckpointError(
                f"{origin}: tensor {name} has shape {tuple(tensor.shape)}, expected {shape}"
            )
        if tensor.dtype != torch.float32:
            raise CheckpointError(f"{origin}: tensor {name} is {tensor.dtype}, expected float32")
        if not tensor.isfinite().all():
            raise CheckpointError(f"{origin}: tensor {name} has values that are not finite")


def _embedded_config(content: bytes) -> AnyConfig | None:
    """Return the configuration in a safetensors header (8 bytes of length, then JSON), or None."""
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    return parse_config(metadata.get(CONFIG_KEY, ""))
