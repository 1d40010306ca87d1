"""`mulan models tune-steps`."""

from pathlib import Path

import click

from models.cli.compute import SEED, device, threads
from models.cli.lazy import runs
from models.cli.options import as_json, data, drawings, test_data
from models.schema.fields import MOST_POINTS


@click.command("tune-steps")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@data
@test_data
@click.option(
    "--steps",
    type=click.IntRange(2, MOST_POINTS),
    default=5,
    show_default=True,
    help="Steps of the sampler, each one evaluation of the network.",
)
@click.option(
    "--rounds", type=click.IntRange(1), default=80, show_default=True, help="Updates of the steps."
)
@click.option(
    "--batch",
    type=click.IntRange(16),
    default=256,
    show_default=True,
    help="Images of one update, which are drawn twice.",
)
@click.option("--seed", type=SEED, default=0, show_default=True)
@drawings
@device
@threads
@as_json
@runs("models.cli.actions.tune_steps:tune_steps")
def tune_steps() -> None:
    """Learn the times and weights of a few steps for the tuned checkpoint in FOLDER, and choose its
    presets anew.

    The steps are those of `dpm-2m-sde`, learned against training images by gradients through the
    sampler. They are then measured against test images as the tuning was, and join its table where
    they are nearer than what is there for as many evaluations.
    """
