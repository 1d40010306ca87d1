"""A model as everything but its own architecture sees it."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.network.schedule import NoiseLevel, Schedule
from models.schema.config import ModelConfig


class Network(nn.Module):
    """The networks of one checkpoint: `encoder` maps clean images to logits, `gamma` a latent to a
    `Schedule`, and `score` maps x_t, a time input and a latent to what the configuration says that
    it predicts.

    An architecture is a subclass that makes these three modules.
    """

    # The layers of `score` whose arithmetic stays in float32 where samples are drawn in bfloat16:
    # those of x and of time, and the last one.
    exact_layers: tuple[str, ...] = ()

    def __init__(
        self, config: ModelConfig, encoder: nn.Module, gamma: nn.Module, score: nn.Module
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder, self.gamma, self.score = encoder, gamma, score

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.parameters()).device

    def time_input(self, s: Tensor) -> Tensor:
        """Return what `score` takes for network times `s` `[rows]` in [0, 1], in their dtype."""
        return s

    def verify(self, origin: str) -> None:
        """Raise CheckpointError, which names `origin`, for loaded tensors that contradict the
        configuration, although their names and shapes are right."""

    def epsilon(self, x: Tensor, noise: NoiseLevel, network_time: Tensor, latent: Tensor) -> Tensor:
        """Return the predicted noise `[rows, C, H, W]` in x_t, whatever the network itself
        predicts.

        `x` is x_t, `network_time` `[rows]` in [0, 1], `latent` `[rows, n]`.
        """
        return self.reading(x, noise).epsilon(
            self.score(x, self.time_input(network_time), latent), x
        )

    def reading(self, x: Tensor, noise: NoiseLevel) -> "Reading":
        """Return how the network's output at x_t is read as noise, in the dtype of `x`.

        A velocity is v = alpha eps - sigma x0, so eps = alpha v + sigma x_t. A "velocity from
        epsilon" network predicts eps itself, which is used directly: converting it to a velocity
        and back cancels badly near gamma_max. A sample is x0, and eps = (x_t - alpha x0) / sigma.
        """
        if self.config.parameterisation == "velocity":
            return Reading(noise.alpha.to(x), noise.sigma.to(x))
        if self.config.parameterisation == "sample":
            return Reading((-noise.alpha / noise.sigma).to(x), (1 / noise.sigma).to(x))
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


class NoEncoder(nn.Module):
    """The encoder of a model that has no latent, or only one."""

    def __init__(self, latent_size: int = 0) -> None:
        super().__init__()
        self.latent_size = latent_size

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits `[rows, n]` of a choice that is none: zeros."""
        return x.new_zeros(x.shape[0], self.latent_size)


class LinearSchedule(nn.Module):
    """The fixed schedule of VDM (Kingma et al., 2021), in which gamma is linear in t everywhere.

    It is computed in `dtype`, that of the latent by default.
    """

    def __init__(self, config: ModelConfig, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.config, self.dtype = config, dtype

    def forward(self, latent: Tensor) -> Schedule:
        """Return the schedule once for each row of `latent` `[rows, 0]`."""
        zero = latent.new_zeros(len(latent), *self.config.chw, dtype=self.dtype)
        ends = self.config.gamma_min, self.config.gamma_max
        return Schedule.normalised(zero, zero, zero + 1, *ends)
