"""`mulan models tune`."""

from pathlib import Path

import click

from models.cli.compute import SEED, device, threads
from models.cli.lazy import runs
from models.cli.options import as_json, data, drawings, test_data


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@data
@test_data
@click.option(
    "--pilot",
    type=click.IntRange(16),
    default=256,
    show_default=True,
    help="Images drawn with each setting in the choice.",
)
@click.option(
    "--images",
    type=click.IntRange(16),
    default=1000,
    show_default=True,
    help="Images drawn with each chosen setting for the measurement.",
)
@click.option("--seed", type=SEED, default=0, show_default=True)
@drawings
@device
@threads
@as_json
@runs("models.cli.actions.tune:tune")
def tune() -> None:
    """Choose the presets of the checkpoint in FOLDER, and write them there with the measurements.

    Settings are chosen against training images, and the chosen ones are measured against test
    images. The card shows them after the next `mulan models evaluate card`.
    """
