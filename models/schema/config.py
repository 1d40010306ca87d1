"""The configuration of a checkpoint's networks. Torch-free, so that an API process can read it."""

import math
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Parameterisation = Literal["epsilon", "velocity", "velocity-from-epsilon"]
Positive = Annotated[int, Field(ge=1)]
Exponent = Annotated[int, Field(ge=0, le=16)]


class ModelConfig(BaseModel):
    """The architecture of one MULAN model (Sahoo et al., NeurIPS 2024, appendix on architecture).

    The defaults are those of the official CIFAR-10 network. `patch`, `coarse_width`, `groups`,
    `schedule_width`, `time_scale`, `fourier`, `fourier_fade` and `residual` are this project's
    options for small models; their defaults are the official network.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    image_shape: tuple[Positive, Positive, Positive] = Field(
        (32, 32, 3), description="Height, width, channels."
    )
    vocabulary: int = Field(256, ge=2, le=256, description="Number of values a pixel can take.")
    parameterisation: Parameterisation = "velocity"
    width: int = Field(128, ge=4, description="Channels inside the score network and the encoder.")
    depth: int = Field(32, ge=1, description="Residual blocks on the way down the score network.")
    encoder_depth: int = Field(4, ge=1, description="Residual blocks of the latent encoder.")
    attention: bool = Field(
        False, description="Attention after every block, not only after the middle one."
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="Used in training only.")
    latent_size: int = Field(
        50,
        ge=0,
        description="The length n of the k-hot latent. With 0 there is no latent, and gamma is "
        "linear in t and the same in every dimension (VDM; Kingma et al., 2021).",
    )
    latent_k: int = Field(15, ge=0, description="The number k of ones in the latent.")
    gamma_min: float = Field(-13.3, description="Log noise-to-signal ratio at t = 0.")
    gamma_max: float = Field(5.0, description="Log noise-to-signal ratio at t = 1.")
    fourier: tuple[Exponent, ...] = Field(
        (6, 7), description="Exponents p of the input features sin and cos of 2 pi 2^p x."
    )
    fourier_fade: bool = Field(
        False,
        description="Multiply each Fourier feature by the share of it that remains on average "
        "under the noise in x, so that no feature is noise alone.",
    )
    time_scale: float = Field(
        1000.0,
        gt=0,
        description="Largest angular frequency of the time embedding. A smaller one makes the "
        "network smoother in time and its ODE cheaper to solve.",
    )
    schedule_width: Positive | None = Field(
        None, description="Hidden width of the schedule MLP; left out, one unit per dimension."
    )
    residual: bool = Field(
        True,
        description="Add x to the network's output, as the official networks do. A velocity has "
        "little in common with x.",
    )
    groups: Positive = Field(32, description="Number of groups of each group normalisation.")
    patch: Positive = Field(
        1, description="Side of the space-to-depth stem. With 1 there is no stem."
    )
    coarse_width: int = Field(
        0,
        ge=0,
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
