"""The rule by which a photograph becomes pixel tokens: part of a checkpoint's identity. Torch-free.

`models/preprocessing` applies it. Training, calibration, evaluation and the service use that code
alone, so that nothing is scored that was prepared in another way than the calibration pictures.
"""

import hashlib
import json
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.schema.config import ModelConfig, Side
from models.schema.errors import PictureShapeError

Filter = Literal["box", "bilinear", "bicubic", "lanczos"]
Level = Annotated[int, Field(ge=0, le=255)]
CHANNELS = {"grey": 1, "rgb": 3}
# One scaled picture may have at most this many pixels, whatever the factor.
MOST_SCALED_PIXELS = 1 << 24
_MOST_SIDE = 1 << 16


class Size(NamedTuple):
    """Height and width of a picture, in pixels."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Resize(_Settings):
    """Every picture is resized to one height and width, whatever its proportions."""

    rule: Literal["resize"] = "resize"
    height: Side
    width: Side
    filter: Filter = "box"

    def apply(self, size: Size) -> Size:
        """Return the size that a picture of `size` gets."""
        return Size(self.height, self.width)


class Scale(_Settings):
    """Height and width of every picture are multiplied by one factor and rounded."""

    rule: Literal["scale"] = "scale"
    factor: float = Field(gt=0, le=16)
    filter: Filter = "box"

    def apply(self, size: Size) -> Size:
        """Return the size that a picture of `size` gets."""
        return Size(*(max(1, round(side * self.factor)) for side in size))


class PictureRule(_Settings):
    """The steps by which a photograph becomes tiles of pixel tokens, in this order.

    It is decoded and turned upright by the orientation that its camera noted; put on `ground` where
    it is transparent; converted to grey (ITU-R 601) or RGB; resized; cut into tiles; and its levels
    0 to 255 are rounded to `levels` tokens.
    """

    version: Literal[1] = Field(1, description="Version of the steps that the rule stands for.")
    mode: Literal["grey", "rgb"] = Field(description="Colours of the model's images.")
    ground: tuple[Level, Level, Level] = Field(
        (255, 255, 255), description="Red, green and blue behind transparent pixels."
    )
    size: Resize | Scale = Field(
        discriminator="rule",
        description='`{ rule = "resize", height, width, filter }` gives every picture one size, '
        '`{ rule = "scale", factor, filter }` multiplies its sides.',
    )
    tile: tuple[Side, Side] = Field(description="Height and width of a tile: the model's image.")
    stride: tuple[Side, Side] = Field(
        description="Steps from tile to tile, down and across; a step below the tile's side "
        "overlaps the tiles."
    )
    edges: Literal["shift", "crop"] = Field(
        "shift",
        description="Treatment of a rest beyond the last whole step: `shift` adds a tile that ends "
        "at the picture's edge, `crop` leaves the rest out.",
    )
    levels: int = Field(256, ge=2, le=256, description="The model's vocabulary.")

    @model_validator(mode="after")
    def _covers(self) -> Self:
        if self.stride[0] > self.tile[0] or self.stride[1] > self.tile[1]:
            raise ValueError("a stride above the tile's side would leave pixels out")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of the rule as canonical JSON."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def channels(self) -> int:
        """Number of values of a pixel."""
        return CHANNELS[self.mode]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a tile."""
        return (*self.tile, self.channels)

    def check(self, config: ModelConfig) -> None:
        """Raise ValueError unless the tiles are images of a model of `config`."""
        if self.image_shape != config.image_shape:
            raise ValueError(
                f"preprocessing makes tiles {self.image_shape}, the model's images are "
                f"{config.image_shape}"
            )
        if self.levels != config.vocabulary:
            raise ValueError(
                f"preprocessing makes {self.levels} levels, the model's vocabulary has "
                f"{config.vocabulary}"
            )

    def scaled(self, size: Size) -> Size:
        """Return the size that a picture of `size`, upright, has when it is cut.

        Raises PictureShapeError where it is smaller than a tile, or larger than can be handled.
        """
        found = self.size.apply(size)
        if found.height < self.tile[0] or found.width < self.tile[1]:
            raise PictureShapeError(
                f"{size} becomes {found} (height x width), smaller than a tile of "
                f"{Size(*self.tile)}; send a larger picture"
            )
        if found.height * found.width > MOST_SCALED_PIXELS:
            raise PictureShapeError(
                f"{size} becomes {found} (height x width), more than {MOST_SCALED_PIXELS} pixels"
            )
        return found

    def origins(self, scaled: Size) -> tuple[Size, ...]:
        """Return the top left corner of every tile of a scaled picture, row by row."""
        rows, columns = (
            _starts(side, tile, stride, self.edges)
            for side, tile, stride in zip(scaled, self.tile, self.stride, strict=True)
        )
        return tuple(Size(top, left) for top in rows for left in columns)

    def tiles(self, size: Size) -> int:
        """Return the number of tiles of a picture of `size`, upright. Raises PictureShapeError."""
        return len(self.origins(self.scaled(size)))


def _starts(side: int, tile: int, stride: int, edges: str) -> list[int]:
    """Return where tiles begin along one side."""
    starts = list(range(0, side - tile + 1, stride))
    if edges == "shift" and starts[-1] + tile < side:
        starts.append(side - tile)
    return starts
