"""`mulan models import`."""

from pathlib import Path

import click

from models.checkpoints.flax_file import MAX_BYTES
from models.checkpoints.official import NAMED
from models.cli.lazy import runs
from models.cli.options import as_json


@click.command("import")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--config",
    required=True,
    help=f"{', '.join(NAMED)}, or a JSON or TOML file of the settings that shapes do not show.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to create.")
@click.option(
    "--params",
    type=click.Choice(["ema", "raw"]),
    default="ema",
    show_default=True,
    help="The averaged parameters, or those that the optimiser last wrote.",
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
    """Make a checkpoint folder of CHECKPOINT, an official `ckpt-N.flax`.

    The file may be gzipped and named without its ending. Of a folder the latest file is taken.
    """
