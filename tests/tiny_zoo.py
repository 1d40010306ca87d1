"""A checkpoint small enough to load at once, with weights that matter."""

from pathlib import Path

import torch
from small_calibration import small_calibration

from models.anomaly.kept import save_calibration
from models.checkpoints.checkpoint import save_manifest, save_weights
from models.network.mulan import Mulan
from models.schema.manifest import Manifest
from models.schema.mulan import MulanConfig
from models.schema.specs import FlowPath

CONFIG = MulanConfig(
    image_shape=(4, 4, 1),
    vocabulary=17,
    width=8,
    depth=1,
    encoder_depth=1,
    groups=4,
    latent_size=6,
    latent_k=2,
    gamma_min=-7.9,
    schedule_width=8,
    fourier=(2, 3),
)


def write_checkpoint(folder: Path, seed: int | None = None, mean_nll: float = 10.0) -> str:
    """Write a calibrated checkpoint called like its folder and return its SHA-256; other names have
    other weights, and so have other seeds."""
    torch.manual_seed(len(folder.name) if seed is None else seed)
    tensors = Mulan(CONFIG).state_dict()
    sha256 = save_weights(folder, CONFIG, tensors)
    parameters = sum(tensor.numel() for tensor in tensors.values())
    manifest = Manifest(name=folder.name, config=CONFIG, sha256=sha256, parameters=parameters)
    save_manifest(folder, manifest)
    solver = FlowPath(steps=4, fresh=2)
    save_calibration(folder, small_calibration(sha256, CONFIG, solver, mean_nll))
    return sha256
