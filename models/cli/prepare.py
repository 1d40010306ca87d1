"""`mulan models prepare`."""

from pathlib import Path

import click

from models.cli.lazy import runs
from models.cli.options import Finite, as_json


@click.command("prepare")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--scale",
    type=Finite(0.001, 16),
    help="Tiles of photographs at this share of their size, instead of whole ones resized to the "
    "model's image.",
)
@click.option("--remove", is_flag=True, help="Take the rule away again.")
@as_json
@runs("models.cli.actions.prepare:prepare")
def prepare() -> None:
    """Let the checkpoint in FOLDER, an imported one for example, take photographs.

    Its manifest gets a rule that makes images of the model's shape and levels of them. The
    checkpoint then has to be calibrated on photographs by `mulan models calibrate --normal`. The
    rule of a checkpoint that was trained on photographs is not changed.
    """
