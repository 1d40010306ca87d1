"""The configuration of a `UNet2DModel` of the library diffusers. Torch-free."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.schema.config import MOST_PARAMETERS, ModelConfig, PixelMap, at_most

MOST_CHANNELS = 8192
MOST_BLOCKS = 16
MOST_LAYERS = 64
# Attention compares every position with every other.
MOST_POSITIONS = 2**14
MOST_TIMESTEPS = 100_000
# A row carries its class as a vector of so many numbers.
MOST_CLASSES = 2**15

Channels = Annotated[int, Field(ge=1, le=MOST_CHANNELS)]
DownBlock = Literal["DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D"]
UpBlock = Literal["UpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"]
Resampling = Literal["conv", "resnet"]


class Unet(BaseModel):
    """The settings of a `UNet2DModel` under its own names and with its own defaults, without those
    that the image's shape determines."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    center_input_sample: bool = False
    time_embedding_type: Literal["positional"] = "positional"
    time_embedding_dim: Channels | None = None
    freq_shift: float = Field(0, ge=0, le=1)
    flip_sin_to_cos: bool = True
    down_block_types: tuple[DownBlock, ...] = Field(
        ("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        min_length=1,
        max_length=MOST_BLOCKS,
    )
    mid_block_type: Literal["UNetMidBlock2D"] | None = "UNetMidBlock2D"
    up_block_types: tuple[UpBlock, ...] = Field(
        ("AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"), max_length=MOST_BLOCKS
    )
    block_out_channels: tuple[Channels, ...] = Field((224, 448, 672, 896), max_length=MOST_BLOCKS)
    layers_per_block: int = Field(2, ge=1, le=MOST_LAYERS)
    mid_block_scale_factor: float = Field(1, gt=0, le=1e6)
    downsample_padding: int = Field(1, ge=0, le=1)
    downsample_type: Resampling = "conv"
    upsample_type: Resampling = "conv"
    dropout: float = Field(0.0, ge=0, lt=1)
    act_fn: Literal["silu", "swish", "mish", "gelu", "relu"] = "silu"
    attention_head_dim: Channels | None = 8
    norm_num_groups: Channels = 32
    attn_norm_num_groups: Channels | None = None
    norm_eps: float = Field(1e-5, gt=0, le=1)
    resnet_time_scale_shift: Literal["default", "scale_shift"] = "default"
    add_attention: bool = True
    num_class_embeds: int | None = Field(
        None, ge=1, le=MOST_CLASSES, exclude_if=lambda classes: classes is None
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        levels = len(self.block_out_channels)
        if not levels == len(self.down_block_types) == len(self.up_block_types):
            raise ValueError(
                f"{levels} block_out_channels, {len(self.down_block_types)} down_block_types and "
                f"{len(self.up_block_types)} up_block_types; there must be as many of each"
            )
        for channels in self.block_out_channels:
            if channels % self.norm_num_groups:
                raise ValueError(
                    f"block_out_channels {channels} must be divisible by {self.norm_num_groups} "
                    "norm_num_groups"
                )
            if channels % (self.attention_head_dim or channels):
                raise ValueError(
                    f"block_out_channels {channels} must be divisible by attention_head_dim "
                    f"{self.attention_head_dim}"
                )
        return self

    def attended(self, positions: int) -> int:
        """Return the largest number of positions that attention compares, of the image's."""
        ladder = list(enumerate(self.down_block_types))
        found = [positions >> 2 * level for level, block in ladder if block.startswith("Attn")]
        mid = positions >> 2 * ladder[-1][0]
        return max([*found, mid if self.mid_block_type and self.add_attention else 0])


class DiffusersConfig(ModelConfig):
    """A model of the library diffusers, trained with a DDPM schedule of discrete `timesteps`.

    Its gamma at those timesteps comes from `alphas_cumprod`, a tensor beside the weights; in our
    time gamma is linear.
    """

    architecture: Literal["diffusers-unet2d"] = "diffusers-unet2d"
    pixel_map: PixelMap = "ends"
    latent_size: Literal[0] = 0
    latent_k: Literal[0] = 0
    timesteps: int = Field(
        1000, ge=2, le=MOST_TIMESTEPS, description="Timesteps that the network was trained at."
    )
    network_parameters: int = Field(
        ge=1, le=MOST_PARAMETERS, description="Number of parameters of the network."
    )
    unet: Unet
    named_classes: int | None = Field(
        None,
        ge=1,
        description="The classes that may be named, the first of the network's; left out, all. "
        "A network for classifier-free guidance has one more, which stands for no class.",
        exclude_if=lambda classes: classes is None,
    )

    @model_validator(mode="after")
    def _buildable(self) -> Self:
        known = self.unet.num_class_embeds or 0
        if self.named_classes is not None and self.named_classes > known:
            raise ValueError(
                f"named_classes is {self.named_classes}, and the network has {known} classes"
            )
        height, width, _ = self.image_shape
        halvings = 2 ** (len(self.unet.block_out_channels) - 1)
        if height % halvings or width % halvings:
            raise ValueError(f"the network divides the image {height}x{width} by {halvings}")
        at_most(self.unet.attended(height * width), MOST_POSITIONS, "positions of attention")
        return self

    @property
    def parameters(self) -> int:
        """Number of parameters of the network."""
        return self.network_parameters

    @property
    def closing_evaluations(self) -> int:
        return 1

    @property
    def classes(self) -> int:
        return self.named_classes or self.unet.num_class_embeds or 0
