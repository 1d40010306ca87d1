"""`mulan models train`."""

from pathlib import Path

import click

from models.cli.compute import SEED, device, threads
from models.cli.lazy import runs
from models.cli.options import as_json
from models.cli.recipes import training_data, training_test_data


@click.command("train")
@click.argument("recipe")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path))
@training_data
@training_test_data
@click.option("--steps", type=click.IntRange(1), help="Number of steps, instead of the recipe's.")
@click.option("--seed", type=SEED, help="Seed, instead of the recipe's.")
@device
@threads
@as_json
@runs("models.cli.actions.train:train")
def train() -> None:
    """Train a checkpoint by RECIPE, a shipped name (digits) or a TOML file, into --out.

    Training is deterministic by seed on one kind of machine with one number of threads. A run that
    was killed resumes from its last save when the same command is given again; a finished run is
    left as it is.
    """
