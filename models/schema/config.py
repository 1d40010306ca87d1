"""The configuration of a checkpoint's networks. Torch-free, so that an API process can read it."""

import math
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.schema.size import parameter_count

Parameterisation = Literal["epsilon", "velocity", "velocity-from-epsilon"]
# A manifest may come from anywhere. These bounds lie far above every network that is trained here,
# and a network within them is built in seconds.
MOST_PARAMETERS = 2**31
MOST_VALUES = 2**22
# Attention compares every position with every other, which takes a gigabyte an image here.
MOST_POSITIONS = 2**14
MOST_CHANNELS = 8192
MOST_BLOCKS = 256

Side = Annotated[int, Field(ge=1, le=4096)]
Depth = Annotated[int, Field(ge=1, le=MOST_BLOCKS)]
# Beyond exp(88) the noise-to-signal ratio leaves the range of float32.
LogNoise = Annotated[float, Field(ge=-50, le=50)]
Exponent = Annotated[int, Field(ge=0, le=16)]


class ModelConfig(BaseModel):
    """The architecture of one MULAN model (Sahoo et al., NeurIPS 2024, appendix on architecture).

    The defaults are those of the official CIFAR-10 network. `patch`, `coarse_width`, `groups`,
    `schedule_width`, `time_scale`, `fourier`, `fourier_fade` and `residual` are this project's
    options for small models; their defaults are the official network.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    image_shape: tuple[Side, Side, Annotated[int, Field(ge=1, le=64)]] = Field(
        (32, 32, 3), description="Height, width, channels."
    )
    vocabulary: int = Field(256, ge=2, le=256, description="Number of values a pixel can take.")
    parameterisation: Parameterisation = Field(
        "velocity", description="The quantity that the network predicts."
    )
    width: int = Field(
        128,
        ge=4,
        le=MOST_CHANNELS,
        description="Channels inside the score network and the encoder.",
    )
    depth: Depth = Field(32, description="Residual blocks on the way down the score network.")
    encoder_depth: Depth = Field(4, description="Residual blocks of the latent encoder.")
    attention: bool = Field(False, description="Attention after every block, not only mid-way.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Used in training only.")
    latent_size: int = Field(
        50,
        ge=0,
        le=2**16,
        description="n, the length of the k-hot latent. 0 is none, and then gamma is linear in t "
        "and the same in every dimension (VDM; Kingma et al., 2021).",
    )
    latent_k: int = Field(15, ge=0, description="k, the number of ones in the latent.")
    gamma_min: LogNoise = Field(-13.3, description="Log noise-to-signal ratio at t = 0.")
    gamma_max: LogNoise = Field(5.0, description="Log noise-to-signal ratio at t = 1.")
    fourier: tuple[Exponent, ...] = Field(
        (6, 7),
        max_length=17,
        description="Exponents p of the input features sin and cos of 2 pi 2^p x.",
    )
    fourier_fade: bool = Field(
        False,
        description="Multiply each Fourier feature by the share of it that remains on average "
        "under the noise in x, so that no feature is noise alone.",
    )
    time_scale: float = Field(
        1000.0,
        gt=0,
        le=1e6,
        description="Largest angular frequency of the time embedding. A smaller one makes the "
        "network smoother in time and its ODE cheaper to solve.",
    )
    schedule_width: int | None = Field(
        None,
        ge=1,
        le=2**16,
        description="Hidden width of the schedule MLP; left out, one unit per dimension.",
    )
    residual: bool = Field(
        True,
        description="Add x to the network's output, as the official networks do. A velocity has "
        "little in common with x.",
    )
    groups: int = Field(
        32, ge=1, le=MOST_CHANNELS, description="Number of groups of each group normalisation."
    )
    patch: int = Field(
        1, ge=1, le=64, description="Side of the space-to-depth stem. With 1 there is no stem."
    )
    coarse_width: int = Field(
        0,
        ge=0,
        le=MOST_CHANNELS,
        description="Channels of a second U-Net at half the resolution, after the middle of the "
        "score network and as deep as it. With 0 there is no second U-Net.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        height, width, _ = self.image_shape
        if self.latent_size and not 0 < self.latent_k < self.latent_size:
            raise ValueError(f"latent_k {self.latent_k} must be positive and below latent_size")
        if not self.latent_size and self.latent_k:
            raise ValueError(f"latent_k {self.latent_k} must be 0 where there is no latent")
        if self.gamma_min >= self.gamma_max:
            raise ValueError("gamma_min must be below gamma_max")
        for channels in self.width, self.coarse_width:
            if channels % self.groups or channels % 2:
                raise ValueError(
                    f"width {channels} must be even and divisible by {self.groups} groups"
                )
        if height % self.patch or width % self.patch:
            raise ValueError(f"patch {self.patch} must divide the image {height}x{width}")
        if self.coarse_width and (height % (2 * self.patch) or width % (2 * self.patch)):
            raise ValueError(
                f"a coarse stage halves the image {height}x{width} once more: twice the patch "
                f"{self.patch} must divide it"
            )
        for count, most, what in (
            (self.dimensions, MOST_VALUES, "values an image"),
            (self.positions, MOST_POSITIONS, "positions an image, patches counted as one"),
            (self.parameters, MOST_PARAMETERS, "parameters"),
        ):
            if count > most:
                raise ValueError(f"{count} {what} are asked for; at most {most}")
        return self

    @property
    def parameters(self) -> int:
        """Number of parameters of all networks together."""
        return parameter_count(self)

    @property
    def positions(self) -> int:
        """Number of places at which the networks compute: pixels, or patches of pixels."""
        height, width, _ = self.image_shape
        return height * width // self.patch**2

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
