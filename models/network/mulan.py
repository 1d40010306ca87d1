"""The three trained networks of a MULAN model. Their parameterisation is known here alone."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from models.network.encoder import Encoder, NoLatent
from models.network.schedule import NoiseLevel, Schedule
from models.network.unet import ScoreNetwork
from models.schema.config import ModelConfig

MIN_RATE = 1e-3


class ScheduleNetwork(nn.Module):
    """The MLP from the latent to one degree-5 polynomial for each dimension (MuLAN, section
    3.2)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        dimensions = config.dimensions
        width = config.schedule_width or dimensions
        self.dense_1 = nn.Linear(config.latent_size, width)
        self.dense_2 = nn.Linear(width, width)
        self.dense_out_a = nn.Linear(width, dimensions)
        self.dense_out_b = nn.Linear(width, dimensions)
        self.dense_out_c = nn.Linear(width, dimensions)

    def forward(self, latent: Tensor) -> Schedule:
        """Return the schedules of `latent` `[rows, n]`, in its dtype."""
        ends = self.config.gamma_min, self.config.gamma_max
        return Schedule.normalised(*self.coefficients(latent), *ends)

    def coefficients(self, latent: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the layers' outputs a, b and c `[rows, C, H, W]`, before scaling."""
        # Differences of gamma need full precision, whatever the score network's precision is.
        with torch.autocast(latent.device.type, enabled=False):
            h = silu(self.dense_2(silu(self.dense_1(latent))))
            c = MIN_RATE + softplus(self.dense_out_c(h))
            a, b = self.dense_out_a(h), self.dense_out_b(h)
        return self._image(a), self._image(b), self._image(c)

    def _image(self, flat: Tensor) -> Tensor:
        """Convert the official feature order (row, column, channel) to `[rows, C, H, W]`."""
        return flat.view(-1, *self.config.image_shape).permute(0, 3, 1, 2).contiguous()


class LinearSchedule(nn.Module):
    """The fixed schedule of VDM (Kingma et al., 2021), in which gamma is linear in t everywhere."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, latent: Tensor) -> Schedule:
        """Return the schedule once for each row of `latent` `[rows, 0]`."""
        zero = latent.new_zeros(len(latent), *self.config.chw)
        ends = self.config.gamma_min, self.config.gamma_max
        return Schedule.normalised(zero, zero, zero + 1, *ends)


class Mulan(nn.Module):
    """The encoder, the schedule and the score network of one checkpoint."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config) if config.latent_size else NoLatent()
        self.gamma = ScheduleNetwork(config) if config.latent_size else LinearSchedule(config)
        self.score = ScoreNetwork(config)

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.parameters()).device

    def epsilon(self, x: Tensor, noise: NoiseLevel, network_time: Tensor, latent: Tensor) -> Tensor:
        """Return the predicted noise `[rows, C, H, W]` in x_t, whatever the network itself
        predicts.

        `x` is x_t, `network_time` `[rows]` the time input, `latent` `[rows, n]`.
        """
        return self.reading(x, noise).epsilon(self.score(x, network_time, latent), x)

    def reading(self, x: Tensor, noise: NoiseLevel) -> "Reading":
        """Return how the network's output at x_t is read as noise, in the dtype of `x`.

        A velocity is v = alpha eps - sigma x0, so eps = alpha v + sigma x_t. A "velocity from
        epsilon" network predicts eps itself, which is used directly: converting it to a velocity
        and back cancels badly near gamma_max.
        """
        if self.config.parameterisation == "velocity":
            return Reading(noise.alpha.to(x), noise.sigma.to(x))
        return Reading(None, None)


class Reading(NamedTuple):
    """The linear map from a network's output to noise: eps = of_output * output + of_x * x_t.

    Both factors are `[rows, C, H, W]`, or None where the output is eps itself.
    """

    of_output: Tensor | None
    of_x: Tensor | None

    def epsilon(self, output: Tensor, x: Tensor) -> Tensor:
        """Return the predicted noise, shaped as `output`."""
        if self.of_output is None or self.of_x is None:
            return output
        return self.of_output * output + self.of_x * x

    def weighted(self, cotangents: Tensor) -> Tensor:
        """Return the cotangents of the output for those of eps, `[rows, probes, C, H, W]`."""
        return cotangents if self.of_output is None else self.of_output[:, None] * cotangents

    def pulled_back(self, pulled: Tensor, cotangents: Tensor) -> Tensor:
        """Return J^T v of eps for `cotangents` v, of which `pulled` is the part through the
        output."""
        return pulled if self.of_x is None else pulled + self.of_x[:, None] * cotangents


def tokens_to_data(tokens: Tensor, vocabulary: int) -> Tensor:
    """Convert pixel tokens 0..V-1 to the centres of their bins in (-1, 1), float64."""
    return 2 * (tokens.double() + 0.5) / vocabulary - 1


def data_to_tokens(x0: Tensor, config: ModelConfig) -> Tensor:
    """Convert the end of a trajectory, x at t = 0, to the nearest tokens, uint8."""
    scaled = x0.double() * math.exp(-config.log_alpha0)
    bins = torch.floor(config.vocabulary * (scaled + 1) / 2)
    return bins.clamp(0, config.vocabulary - 1).to(torch.uint8)
