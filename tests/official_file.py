"""Files like those of the official code, with random parameters of a small network."""

from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import torch
from numpy.typing import NDArray

from models.checkpoints.flax_names import official_path, official_shape
from models.network.mulan import Mulan
from models.schema.mulan import MulanConfig

CONFIG = MulanConfig(
    image_shape=(8, 8, 3),
    width=32,
    depth=2,
    encoder_depth=1,
    latent_size=7,
    latent_k=3,
    schedule_width=6,
    parameterisation="epsilon",
)
SAID = {"parameterisation": "epsilon", "latent_k": 3}
Leaves = dict[str, NDArray[Any]]


def leaves_of(config: MulanConfig, seed: int) -> Leaves:
    """Random official leaves."""
    with torch.device("meta"):
        model = Mulan(config)
    draws = np.random.default_rng(seed)
    found = {}
    for name, tensor in model.state_dict().items():
        path = official_path(name)
        shape = official_shape(path, tuple(tensor.shape))
        found[path] = draws.standard_normal(shape, dtype=np.float32)
    return found


def nested(leaves: Leaves) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in leaves.items():
        *parents, last = path.split("/")
        inner = tree
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = packed(value)
    return tree


def packed(array: NDArray[Any]) -> msgpack.ExtType:
    content = (list(array.shape), array.dtype.name, array.tobytes())
    return msgpack.ExtType(1, msgpack.packb(content))


def write(path: Path, ema: Leaves, raw: Leaves | None = None) -> Path:
    tree = {
        "step": packed(np.array(70_000, np.int32)),
        "params": nested(raw or leaves_of(CONFIG, 2)),
        "ema_params": nested(ema),
        "opt_state": {"0": {"inner_state": {}}, "1": {"mu": nested(ema)}},
    }
    path.write_bytes(msgpack.packb(tree))
    return path
