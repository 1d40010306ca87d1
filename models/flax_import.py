"""Official checkpoints: from a Flax file to a checkpoint folder."""

import hashlib
import math
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.checkpoint import save_manifest, save_weights
from models.config import ModelConfig
from models.errors import CheckpointError
from models.flax_file import MAX_BYTES, read_flax
from models.flax_names import convert, official_path, official_shape, rename
from models.manifest import Manifest, Origin
from models.network import Mulan
from models.official import Settings, complete

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

    `settings` are fields of ModelConfig; what the shapes determine may be left out. `copy` chooses
    the averaged parameters, as the official evaluation does, or the raw ones. Until all is well
    nothing stands under `out`. Raises CheckpointError, naming the leaf, for a file that is damaged
    or another model's, and when `out` is there already.
    """
    if out.exists():
        raise CheckpointError(f"{out} is there already")
    path, entry = locate(path), ENTRY[copy]
    tree = read_flax(path, {"step", entry}, max_bytes=max_bytes, progress=progress)
    if not isinstance(tree.get(entry), dict):
        raise CheckpointError(f"{path}: no {entry}; this is no MULAN checkpoint")
    leaves = flatten(tree.pop(entry), str(path))
    config = complete(settings, shown_by(leaves, settings, str(path)), str(path))
    tensors = to_tensors(leaves, config, str(path))
    return _write(path, out, config, tensors, copy, _step(tree.get("step")), name)


def locate(path: Path) -> Path:
    """The checkpoint file that is meant: itself, the one that `ckpt-N` is short for, or the latest
    in a folder. Raises CheckpointError."""
    named = path.with_name(f"{path.name}.flax")
    if not path.exists() and named.exists():
        return named
    if not path.is_dir():
        return path
    numbered = {
        int(match[1]): file
        for file in path.iterdir()
        if (match := re.fullmatch(r"ckpt-(\d+)\.flax", file.name))
    }
    if not numbered:
        raise CheckpointError(f"{path}: no ckpt-N.flax in this folder")
    return numbered[max(numbered)]


def flatten(tree: Mapping[str, Any], origin: str, prefix: str = "") -> Leaves:
    """Leaves by slash-joined path. Raises CheckpointError for one that is no array."""
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
    """The fields of ModelConfig that the shapes determine; images are square unless it is `said`
    that they are not. Raises CheckpointError."""
    networks = {path.split("/")[0] for path in leaves}
    for network in sorted(networks ^ NETWORKS):
        state = "missing" if network in NETWORKS else "unexpected"
        raise CheckpointError(f"{origin}: {network} is {state}; this is no MULAN checkpoint")
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


def to_tensors(leaves: Leaves, config: ModelConfig, origin: str) -> dict[str, Tensor]:
    """The state dict of `Mulan(config)`, float32; takes the leaves out of `leaves` one by one.

    Raises CheckpointError, naming the leaf: missing, unexpected, misshapen, not finite, no float.
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


def _write(
    path: Path,
    out: Path,
    config: ModelConfig,
    tensors: dict[str, Tensor],
    copy: Copy,
    step: int | None,
    name: str | None,
) -> Manifest:
    """Into a folder beside `out`, which is renamed when it is whole."""
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    try:
        with path.open("rb") as file:
            source = hashlib.file_digest(file, "sha256").hexdigest()
        manifest = Manifest(
            name=name or _name(out),
            config=config,
            sha256=save_weights(partial, config, tensors),
            parameters=sum(tensor.numel() for tensor in tensors.values()),
            origin=Origin(file=path.name, sha256=source, parameters=copy, step=step),
        )
        save_manifest(partial, manifest)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def _name(out: Path) -> str:
    """A checkpoint's name from its folder's."""
    return re.sub(r"[^a-z0-9._-]+", "-", out.name.lower()).strip("-._")[:64] or "imported"


def _step(value: Any) -> int | None:
    array = np.asarray(value)
    return int(array) if array.shape == () and array.dtype.kind in "iu" else None


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
