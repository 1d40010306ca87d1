"""A tiny network of diffusers with classes, whose predictions are small: its ODE is smooth."""

from pathlib import Path

import torch

from models.checkpoints.checkpoint import save_manifest, save_weights
from models.checkpoints.diffusers_settings import NoiseSettings
from models.network.diffusers_unet import DiffusersUnet, log_noise
from models.schema.diffusers_unet import DiffusersConfig, Unet
from models.schema.manifest import Manifest

CLASSES = 5
ALPHAS = NoiseSettings().alphas_cumprod()
UNET = Unet(
    block_out_channels=(8, 16),
    down_block_types=("DownBlock2D", "AttnDownBlock2D"),
    up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    layers_per_block=1,
    norm_num_groups=4,
    num_class_embeds=CLASSES,
)
CONFIG = DiffusersConfig(
    image_shape=(8, 8, 1),
    parameterisation="velocity",
    gamma_min=log_noise(ALPHAS)[0].item(),
    gamma_max=log_noise(ALPHAS)[-1].item(),
    network_parameters=11_000,
    unet=UNET,
)


def class_model(seed: int = 0) -> DiffusersUnet:
    """Return a network that tells its classes apart."""
    torch.manual_seed(seed)
    model = DiffusersUnet(CONFIG)
    model.get_buffer("alphas_cumprod").copy_(ALPHAS)
    with torch.no_grad():
        model.get_parameter("score.unet.conv_out.weight").mul_(0.5)
        model.get_parameter("score.unet.class_embedding.weight").mul_(3)
    return model.eval().requires_grad_(False)


def write_checkpoint(folder: Path) -> str:
    """Write the network as a checkpoint called like its folder and return its SHA-256."""
    tensors = class_model().state_dict()
    sha256 = save_weights(folder, CONFIG, tensors)
    parameters = CONFIG.parameters
    manifest = Manifest(name=folder.name, config=CONFIG, sha256=sha256, parameters=parameters)
    save_manifest(folder, manifest)
    return sha256
