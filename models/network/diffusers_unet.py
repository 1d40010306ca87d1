"""The networks of the library diffusers, in our time and behind our interface."""

import torch
from torch import Tensor, nn

from models.files.extras import module
from models.network.network import LinearSchedule, Network, NoEncoder
from models.schema.diffusers_unet import DiffusersConfig
from models.schema.errors import CheckpointError


class DiffusersUnet(Network):
    """A `UNet2DModel`, and `alphas_cumprod` `[timesteps]` of the schedule that it was trained with.

    In our time gamma is linear, so a network time s is a value of gamma. The network takes the
    timestep at which its own schedule has that gamma; between two of them the timestep is
    interpolated, linearly in gamma. Raises CheckpointError for settings that diffusers refuses.
    """

    exact_layers = (
        "unet.conv_in",
        "unet.time_embedding.linear_1",
        "unet.time_embedding.linear_2",
        "unet.conv_out",
    )
    alphas_cumprod: Tensor

    def __init__(self, config: DiffusersConfig) -> None:
        # The trained timesteps have to be met exactly, and not within the precision of float32.
        schedule = LinearSchedule(config, torch.float64)
        super().__init__(config, NoEncoder(), schedule, _Score(config))
        self.register_buffer("alphas_cumprod", torch.zeros(config.timesteps))

    def time_input(self, s: Tensor) -> Tensor:
        gammas = log_noise(self.alphas_cumprod)
        gamma = gammas[0] + (gammas[-1] - gammas[0]) * s
        above = torch.searchsorted(gammas, gamma, right=True).clamp(1, len(gammas) - 1)
        low, high = gammas[above - 1], gammas[above]
        return above - 1 + (gamma - low) / (high - low)

    def verify(self, origin: str) -> None:
        gammas, config = log_noise(self.alphas_cumprod), self.config
        if not (gammas.diff() > 0).all():
            raise CheckpointError(f"{origin}: alphas_cumprod does not fall from 1 to 0")
        ends = gammas[0].item(), gammas[-1].item()
        if ends != (config.gamma_min, config.gamma_max):
            raise CheckpointError(
                f"{origin}: gamma goes from {ends[0]} to {ends[1]}, the configuration says "
                f"{config.gamma_min} to {config.gamma_max}"
            )


def log_noise(alphas_cumprod: Tensor) -> Tensor:
    """Return gamma, the log noise-to-signal ratio, for `alphas_cumprod`, the squares of alpha,
    float64."""
    squares = alphas_cumprod.double()
    return torch.log1p(-squares) - torch.log(squares)


class _Score(nn.Module):
    """The network of x_t and a timestep, which may lie between two, and of a class where there are
    classes. It has no latent."""

    def __init__(self, config: DiffusersConfig) -> None:
        super().__init__()
        height, width, channels = config.image_shape
        shape = {"sample_size": (height, width), "in_channels": channels, "out_channels": channels}
        kind = module("diffusers.models.unets.unet_2d").UNet2DModel
        try:
            self.unet: nn.Module = kind(**shape, **config.unet.model_dump())
        except (ValueError, TypeError, ArithmeticError, RuntimeError) as error:
            line = (str(error).splitlines() or [""])[0]
            raise CheckpointError(f"diffusers cannot build this network: {line}") from error

    def forward(self, x: Tensor, timestep: Tensor, latent: Tensor) -> Tensor:
        """Return the prediction, shaped as `x` `[rows, C, H, W]`; `timestep` is `[rows]`, `latent`
        the classes `[rows, classes]`, one-hot."""
        classes = latent.argmax(1) if latent.shape[1] else None
        out: Tensor = self.unet(x, timestep, class_labels=classes, return_dict=False)[0]
        return out
