"""Photographs in requests and answers: what was made of them, and where their tiles lie."""

from typing import Annotated, Any

from pydantic import Field

from models.preprocessing.tiles import Tiling
from models.schema.preprocessing import PictureRule, Size
from service.contracts.base import ResponseModel
from service.errors import InvalidRequest
from service.jobs import Decoded

Tiles = Annotated[
    bool,
    Field(description="Return the results of each photograph's tiles too."),
]


class Applied(ResponseModel):
    """The preprocessing of the photographs."""

    digest: str = Field(description="SHA-256 of the rule, by which calibrations name it.")
    rule: PictureRule


class Picture(ResponseModel):
    """A photograph, upright."""

    height: int = Field(description="Height of the photograph, in pixels.")
    width: int = Field(description="Width of the photograph, in pixels.")
    scaled_height: int = Field(description="Height of what the tiles were cut from.")
    scaled_width: int = Field(description="Width of what the tiles were cut from.")
    tiles: int = Field(description="Number of its tiles.")


class TilePlace(ResponseModel):
    """Place of a tile in its photograph, in pixels of the photograph."""

    x: float
    y: float
    width: float
    height: float


def _absent(value: Any) -> bool:
    return value is None


APPLIED = Field(
    None,
    description="The preprocessing of photographs; absent where images came as they are.",
    exclude_if=_absent,
)
PICTURE = Field(None, description="The photograph, where the image is one.", exclude_if=_absent)


def check_tiles(tiles: bool, images: Decoded) -> None:
    """Raise InvalidRequest where results of tiles are wanted and there are no photographs."""
    if tiles and images.tiling is None:
        raise InvalidRequest.at(
            "tiles", "is for photographs, and the images are tokens as they are"
        )


def applied(tiling: Tiling | None) -> Applied | None:
    """Return the preprocessing of a job's photographs."""
    return described(None if tiling is None else tiling.rule)


def described(rule: PictureRule | None) -> Applied | None:
    """Return a rule with its digest."""
    return None if rule is None else Applied(digest=rule.digest, rule=rule)


def pictures(tiling: Tiling) -> list[Picture]:
    """Return the photographs of a job."""
    found = []
    for size in tiling.sizes:
        scaled = tiling.rule.scaled(size)
        found.append(
            Picture(
                height=size.height,
                width=size.width,
                scaled_height=scaled.height,
                scaled_width=scaled.width,
                tiles=tiling.rule.tiles(size),
            )
        )
    return found


def places(rule: PictureRule, size: Size) -> list[TilePlace]:
    """Return where the tiles of a photograph of `size` lie."""
    scaled = rule.scaled(size)
    down, across = size.height / scaled.height, size.width / scaled.width
    height, width = rule.tile
    return [
        TilePlace(x=x * across, y=y * down, width=width * across, height=height * down)
        for y, x in rule.origins(scaled)
    ]
