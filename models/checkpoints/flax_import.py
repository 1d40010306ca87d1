"""Official checkpoints become checkpoint folders."""

import hashlib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.checkpoints.checkpoint import save_manifest, save_weights
from models.checkpoints.flax_file import MAX_BYTES, read_flax
from models.checkpoints.flax_names import convert, official_path, official_shape, rename
from models.checkpoints.names import checked_name, name_of
from models.checkpoints.official import Settings, complete
from models.files.folders import new_folder
from models.network.mulan import Mulan
from models.schema.errors import CheckpointError
from models.schema.manifest import Manifest, Origin
from models.schema.mulan import MulanConfig
from models.schema.regular import open_regular

Copy = Literal["ema", "raw"]
Leaves = dict[str, NDArray[Any]]
ENTRY: dict[Copy, str] = {"ema": "ema_params", "raw": "params"}
FLOATS = ("float32", "float16")
NETWORKS = {"encoder_model", "gamma", "score_model"}


def import_flax(
    path: Path,
    settings: Settings,
    out: Path,
    *,
    copy: Copy = "ema",
    name: str | None = None,
    max_bytes: int = MAX_BYTES,
    progress: bool = False,
) -> Manifest:
    """Write the checkpoint folder `out` from an official `ckpt-N.flax`.

    `settings` are fields of MulanConfig; those that the shapes determine may be left out. `copy`
    chooses the averaged parameters, as the official evaluation does, or the raw ones. `out` appears
    only when everything is verified. Raises CheckpointError, which names the leaf, for a file that
    is damaged or another model's, and when `out` exists already.
    """
    path, entry = locate(path), ENTRY[copy]
    chosen = checked_name(name or name_of(out))
    with new_folder(out) as folder:
        tree = read_flax(path, {"step", entry}, max_bytes=max_bytes, progress=progress)
        if not isinstance(tree.get(entry), dict):
            raise CheckpointError(f"{path}: no {entry}; this is not a MULAN checkpoint")
        leaves = flatten(tree.pop(entry), str(path))
        config = complete(settings, shown_by(leaves, settings, str(path)), str(path))
        tensors = to_tensors(leaves, config, str(path))
        with open_regular(path) as file:
            source = hashlib.file_digest(file, "sha256").hexdigest()
        manifest = Manifest(
            name=chosen,
            config=config,
            sha256=save_weights(folder, config, tensors),
            parameters=sum(tensor.numel() for tensor in tensors.values()),
            origin=Origin(
                file=path.name, sha256=source, parameters=copy, step=_step(tree.get("step"))
            ),
        )
        save_manifest(folder, manifest)
    return manifest


def locate(path: Path) -> Path:
    """Return the checkpoint file that `path` names: the file itself, the file without its ending,
    or the latest one in a folder. Raises CheckpointError."""
    if path.is_file():
        return path
    if not path.exists():
        named = path.with_name(f"{path.name}.flax")
        if named.is_file():
            return named
        raise CheckpointError(f"{path}: no such file")
    if not path.is_dir():
        raise CheckpointError(f"{path}: not a file")
    numbered = {
        int(match[1]): file
        for file in path.iterdir()
        if (match := re.fullmatch(r"ckpt-(\d+)\.flax", file.name))
    }
    if not numbered:
        raise CheckpointError(f"{path}: no ckpt-N.flax in this folder")
    return numbered[max(numbered)]


def flatten(tree: Mapping[str, Any], origin: str, prefix: str = "") -> Leaves:
    """Return the leaves by slash-joined path. Raises CheckpointError for a leaf that is not an
    array."""
    leaves: Leaves = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict):
            leaves |= flatten(value, origin, f"{path}/")
        elif isinstance(value, np.ndarray):
            leaves[path] = value
        else:
            raise CheckpointError(f"{origin}: {path} is {type(value).__name__}, not an array")
    return leaves


def shown_by(leaves: Leaves, said: Settings, origin: str) -> Settings:
    """Return the fields of MulanConfig that the shapes determine.

    Images are taken as square unless `said` has an image_shape. Raises CheckpointError.
    """
    networks = {path.split("/")[0] for path in leaves}
    for network in sorted(networks ^ NETWORKS):
        state = "missing" if network in NETWORKS else "unexpected"
        raise CheckpointError(f"{origin}: {network} is {state}; this is not a MULAN checkpoint")
    inputs, width = _shape(leaves, "score_model/conv_in/kernel", 4, origin)[2:]
    (channels,) = _shape(leaves, "score_model/conv_out/bias", 1, origin)
    positions, latent_size = _shape(leaves, "encoder_model/dense_layer_final/kernel", 2, origin)
    hidden, dimensions = _shape(leaves, "gamma/dense_out_a/kernel", 2, origin)
    if positions * channels != dimensions:
        raise CheckpointError(
            f"{origin}: gamma has {dimensions} dimensions, the encoder {positions} positions of "
            f"{channels} channels"
        )
    found: Settings = {
        "width": width,
        "depth": _blocks(leaves, "score_model"),
        "encoder_depth": _blocks(leaves, "encoder_model"),
        "attention": any("/down.attn_" in path for path in leaves),
        "latent_size": latent_size,
    }
    if hidden != dimensions:
        found["schedule_width"] = hidden
    if inputs == channels:
        found["fourier"] = ()
    side = math.isqrt(positions)
    if side * side == positions and "image_shape" not in said:
        found["image_shape"] = (side, side, channels)
    return found


def to_tensors(leaves: Leaves, config: MulanConfig, origin: str) -> dict[str, Tensor]:
    """Return the state dict of `Mulan(config)`, float32; removes the leaves from `leaves` one by
    one.

    Raises CheckpointError, which names a leaf that is missing, unexpected, of a wrong shape, not
    finite or not floating-point.
    """
    with torch.device("meta"):
        expected = Mulan(config).state_dict()
    ours = {path: rename(path) for path in leaves}
    for path in sorted({official_path(name) for name in expected} - leaves.keys()):
        raise CheckpointError(f"{origin}: leaf {path} is missing")
    for path in sorted(leaves.keys() - {official_path(name) for name in expected}):
        raise CheckpointError(f"{origin}: leaf {path} is unexpected")
    tensors = {}
    for path, name in ours.items():
        value = leaves.pop(path)
        shape = official_shape(path, tuple(expected[name].shape))
        if value.shape != shape:
            raise CheckpointError(
                f"{origin}: leaf {path} has shape {value.shape}, expected {shape}"
            )
        if value.dtype.name not in FLOATS:
            raise CheckpointError(f"{origin}: leaf {path} is {value.dtype.name}, expected float32")
        if not np.isfinite(value).all():
            raise CheckpointError(f"{origin}: leaf {path} has values that are not finite")
        tensors[name] = convert(path, value.astype(np.float32, copy=False))
    return tensors


def _step(value: Any) -> int | None:
    if isinstance(value, np.ndarray) and value.shape == () and value.dtype.kind in "iu":
        return int(value)
    return value if type(value) is int else None


def _blocks(leaves: Leaves, network: str) -> int:
    found = {path.split("/")[1] for path in leaves if path.startswith(f"{network}/down.block_")}
    return len(found)


def _shape(leaves: Leaves, path: str, axes: int, origin: str) -> tuple[int, ...]:
    if path not in leaves:
        raise CheckpointError(f"{origin}: leaf {path} is missing")
    shape = leaves[path].shape
    if len(shape) != axes:
        raise CheckpointError(f"{origin}: leaf {path} has shape {shape}, expected {axes} axes")
    return shape
