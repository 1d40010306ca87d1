"""`mulan models import`."""

from pathlib import Path

import click

from models.checkpoints.flax_file import MAX_BYTES
from models.checkpoints.official import NAMED
from models.cli.lazy import runs
from models.cli.options import as_json


@click.command("import")
@click.argument("checkpoint", type=click.Path(path_type=Path), required=False)
@click.option(
    "--diffusers",
    type=click.Path(path_type=Path),
    help="A pipeline's or a model's folder of the library diffusers, in place of CHECKPOINT.",
)
@click.option(
    "--config",
    help=f"Of CHECKPOINT: {', '.join(NAMED)}, or a JSON or TOML file of the settings that shapes "
    "do not show.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder to create. With --diffusers it is the model's name by default.",
)
@click.option(
    "--params",
    type=click.Choice(["ema", "raw"]),
    default="ema",
    show_default=True,
    help="Of CHECKPOINT: the averaged parameters, or those that the optimiser last wrote.",
)
@click.option(
    "--classes",
    type=click.IntRange(1),
    help="Of a diffusers model: the number of classes that requests may name, the first of the "
    "network's; all by default. A network for guidance has one more, which stands for none.",
)
@click.option("--name", help="Name to serve it by. The folder's name by default.")
@click.option(
    "--max-bytes",
    type=click.IntRange(1),
    default=MAX_BYTES,
    show_default=True,
    help="Refuse a file that unpacks to more.",
)
@as_json
@runs("models.cli.actions.importing:import_checkpoint")
def import_checkpoint() -> None:
    """Make a checkpoint folder of CHECKPOINT, an official `ckpt-N.flax`, or of a model of the
    library diffusers.

    The official file may be gzipped and named without its ending. Of a folder the latest file is
    taken. A diffusers model is a UNet2DModel of grey or RGB images with its weights in safetensors.
    """
