"""The three trained networks of a MULAN model."""

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from models.network.encoder import Encoder
from models.network.network import LinearSchedule, Network, NoEncoder
from models.network.schedule import Schedule
from models.network.unet import ScoreNetwork
from models.schema.mulan import MulanConfig

MIN_RATE = 1e-3


class ScheduleNetwork(nn.Module):
    """The MLP from the latent to one degree-5 polynomial for each dimension (MuLAN, section
    3.2)."""

    def __init__(self, config: MulanConfig) -> None:
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

    @torch.no_grad()
    def straighten(self) -> None:
        """Make gamma linear in t, the same in every dimension and for every latent."""
        for layer in self.dense_out_a, self.dense_out_b, self.dense_out_c:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

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


class Mulan(Network):
    """The encoder, the schedule and the score network of one MULAN checkpoint."""

    exact_layers = "trunk.dense0", "trunk.dense1", "trunk.conv_in", "conv_out"

    def __init__(self, config: MulanConfig) -> None:
        super().__init__(
            config,
            Encoder(config) if config.encodes else NoEncoder(config.latent_size),
            ScheduleNetwork(config) if config.latent_size else LinearSchedule(config),
            ScoreNetwork(config),
        )
