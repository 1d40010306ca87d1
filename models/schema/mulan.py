"""The configuration of MULAN's networks. Torch-free."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from models.schema.config import MOST_PARAMETERS, ModelConfig, at_most
from models.schema.size import parameter_count

# Attention compares every position with every other, which takes a gigabyte an image here.
MOST_POSITIONS = 2**14
MOST_CHANNELS = 8192
MOST_BLOCKS = 256

Depth = Annotated[int, Field(ge=1, le=MOST_BLOCKS)]
Exponent = Annotated[int, Field(ge=0, le=16)]
# The fields that are written after the others. The weights file carries the configuration, so
# another order would be another SHA-256 for the same weights.
_WRITTEN_LATE = (
    *("latent_size", "latent_k", "gamma_min", "gamma_max"),
    *("fourier", "fourier_fade", "time_scale", "schedule_width", "residual"),
    *("groups", "patch", "coarse_width"),
)


class MulanConfig(ModelConfig):
    """The architecture of one MULAN model (Sahoo et al., NeurIPS 2024, appendix on architecture).

    The defaults are those of the official CIFAR-10 network. `patch`, `coarse_width`, `groups`,
    `schedule_width`, `time_scale`, `fourier`, `fourier_fade` and `residual` are this project's
    options for small models; their defaults are the official network. The tag `architecture` may be
    left out and is not written, as in files from before there was another architecture.
    """

    architecture: Literal["mulan"] = Field("mulan", exclude=True)
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
    def _buildable(self) -> Self:
        height, width, _ = self.image_shape
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
        at_most(self.positions, MOST_POSITIONS, "positions an image, patches counted as one")
        at_most(self.parameters, MOST_PARAMETERS, "parameters")
        return self

    @model_serializer(mode="wrap")
    def _in_order(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        late = [name for name in _WRITTEN_LATE if name in written]
        moved = {name: written.pop(name) for name in late}
        return written | moved

    @property
    def parameters(self) -> int:
        """Number of parameters of all networks together."""
        return parameter_count(self)

    @property
    def positions(self) -> int:
        """Number of places at which the networks compute: pixels, or patches of pixels."""
        height, width, _ = self.image_shape
        return height * width // self.patch**2
