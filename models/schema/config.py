"""The configuration of any model, as solvers, likelihoods and verdicts need it. Torch-free, so that
an API process can read it.

Every architecture extends it by its own fields: `models.schema.architectures`.
"""

import math
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Parameterisation = Literal["epsilon", "velocity", "velocity-from-epsilon", "sample"]
PixelMap = Literal["centres", "ends"]
# A manifest may come from anywhere. These bounds lie far above every network that is trained here,
# and a network within them is built in seconds.
MOST_PARAMETERS = 2**31
MOST_VALUES = 2**22

# Pixels.
LARGEST_SIDE = 4096
Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]
# Beyond exp(88) the noise-to-signal ratio leaves the range of float32.
LogNoise = Annotated[float, Field(ge=-50, le=50)]


class ModelConfig(BaseModel):
    """The images of a model, its noise and its latent. The defaults are those of the official
    CIFAR-10 network of MULAN (Sahoo et al., NeurIPS 2024)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    image_shape: tuple[Side, Side, Annotated[int, Field(ge=1, le=64)]] = Field(
        (32, 32, 3), description="Height, width, channels."
    )
    vocabulary: int = Field(256, ge=2, le=256, description="Number of values a pixel can take.")
    pixel_map: PixelMap = Field(
        "centres",
        description="The places of the V tokens in [-1, 1]: the `centres` of V equal bins, "
        "2 (v + 1/2) / V - 1, or evenly from one of its `ends` to the other, 2 v / (V - 1) - 1.",
        exclude_if=lambda pixel_map: pixel_map == "centres",
    )
    parameterisation: Parameterisation = Field(
        "velocity", description="The quantity that the network predicts."
    )
    latent_size: int = Field(
        50,
        ge=0,
        le=2**16,
        description="n, the length of the k-hot latent. 0 is none, and then gamma is linear in t "
        "and the same in every dimension (VDM; Kingma et al., 2021). 1, with k = 1, is a latent "
        "that is the same for every image: gamma is learned for each dimension, and no image is "
        "encoded.",
    )
    latent_k: int = Field(15, ge=0, description="k, the number of ones in the latent.")
    gamma_min: LogNoise = Field(-13.3, description="Log noise-to-signal ratio at t = 0.")
    gamma_max: LogNoise = Field(5.0, description="Log noise-to-signal ratio at t = 1.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        several = 0 < self.latent_k < self.latent_size
        if self.latent_size and not several and not self.latent_size == self.latent_k == 1:
            raise ValueError(f"latent_k {self.latent_k} must be positive and below latent_size")
        if not self.latent_size and self.latent_k:
            raise ValueError(f"latent_k {self.latent_k} must be 0 where there is no latent")
        if self.gamma_min >= self.gamma_max:
            raise ValueError("gamma_min must be below gamma_max")
        at_most(self.dimensions, MOST_VALUES, "values an image")
        return self

    @property
    def dimensions(self) -> int:
        """The number D of pixels times channels."""
        return math.prod(self.image_shape)

    @property
    def chw(self) -> tuple[int, int, int]:
        """The image shape in the order of tensors: channels, height, width."""
        height, width, channels = self.image_shape
        return channels, height, width

    @property
    def bins(self) -> int:
        """The number of tokens' bins that fit into [-1, 1]; half a bin is 1 / `bins`. With the
        pixel map `ends` half a bin at either side lies beyond."""
        return self.vocabulary if self.pixel_map == "centres" else self.vocabulary - 1

    @property
    def first_bin(self) -> float:
        """The place of token 0, in bins from -1 on."""
        return 0.5 if self.pixel_map == "centres" else 0.0

    @property
    def closing_evaluations(self) -> int:
        """The network evaluations at t = 0 with which a sample ends. With none a sample is x at
        t = 0, with one it is the clean image that the network predicts there."""
        return 0

    @property
    def classes(self) -> int:
        """The number of classes that images are drawn of, one named for each; 0 for a model that
        has no classes."""
        return 0

    @property
    def encodes(self) -> bool:
        """Whether images are encoded, since there is more than one latent to choose from."""
        return self.latent_size > 1

    @property
    def condition_size(self) -> int:
        """The length of the vector that conditions a row: its latent, or its class, one-hot."""
        return self.classes or self.latent_size

    @property
    def condition_ones(self) -> int:
        """The number of ones in that vector."""
        return 1 if self.classes else self.latent_k

    @property
    def log_latents(self) -> float:
        """The price log C(n, k), in nats, of naming one latent under the uniform prior."""
        n, k = self.latent_size, self.latent_k
        return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

    @property
    def log_alpha0(self) -> float:
        """The logarithm of the signal's scale at t = 0, the same in every dimension."""
        return -0.5 * math.log1p(math.exp(self.gamma_min))

    @property
    def log_sigma0(self) -> float:
        """The logarithm of the noise's scale at t = 0, the same in every dimension."""
        return -0.5 * math.log1p(math.exp(-self.gamma_min))


def at_most(count: int, most: int, what: str) -> None:
    """Raise ValueError for a `count` above `most`."""
    if count > most:
        raise ValueError(f"{count} {what} are asked for; at most {most}")
