"""`mulan models new`."""

from pathlib import Path
from typing import Any

import click

from models.cli.compute import SEED, device, threads
from models.cli.lazy import runs
from models.cli.options import Finite, as_json
from models.schema.config import LARGEST_SIDE


class HeightByWidth(click.ParamType[tuple[int, int]]):
    """Two sides in pixels, height first: 32x48."""

    name = "HxW"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Convert the value. Raises click.BadParameter."""
        if isinstance(value, tuple):
            return value
        height, _, width = str(value).partition("x")
        if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
            self.fail(f"{value} is not a height and a width, as 32x48", param, ctx)
        if max(int(height), int(width)) > LARGEST_SIDE:
            self.fail(f"{value} has a side of more than {LARGEST_SIDE} pixels", param, ctx)
        return int(height), int(width)


@click.command("new")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="New folder of the recipe and the checkpoint; its name is the checkpoint's.",
)
@click.option("--minutes", type=Finite(0.1, 100_000), default=20.0, show_default=True,
              help="Time that training may take.")  # fmt: skip
@click.option("--group", default="", help="Regular expression: photographs with the same match in "
              "their paths, as of one part or one day, stay in one part of the split.")  # fmt: skip
@click.option("--mode", type=click.Choice(["grey", "rgb"]), help="Colours, instead of those found.")
@click.option("--resize", type=HeightByWidth(), help="Whole pictures at this size.")
@click.option(
    "--scale", type=Finite(0.001, 16), help="Tiles of pictures at this share of the size."
)
@click.option("--tile", type=HeightByWidth(), help="Height and width of a tile.")
@click.option("--vocabulary", type=click.IntRange(2, 256), help="Number of levels of a pixel.")
@click.option(
    "--test",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Number of photographs to keep out of training and calibration; they show how many good "
    "ones would be stopped.",
)
@click.option("--licence", default="", help="Licence of the photographs, for the record.")
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--all", "everything", is_flag=True, help="Train and calibrate as well.")
@click.option(
    "--defects",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Photographs of bad parts, to count with --all which of them would be stopped.",
)
@device
@threads
@as_json
@runs("models.cli.actions.new:new")
def new() -> None:
    """Propose a recipe for the photographs of good parts in FOLDER and write it to --out.

    PNG, JPEG, BMP, TIFF and WebP of any size are read, in sub-folders too. What is found, what is
    left out and why, and how long training will take is printed. `mulan models train`, `calibrate`
    and `mulan serve` follow.
    """
