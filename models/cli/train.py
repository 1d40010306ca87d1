"""`mulan models train`."""

from pathlib import Path

import click

from models.cli.compute import SEED, device, threads
from models.cli.lazy import runs
from models.cli.options import as_json
from models.cli.recipes import training_data, training_test_data


@click.command("train")
@click.argument("recipe")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the checkpoint; left out where RECIPE is a folder, which then gets it.",
)
@training_data
@training_test_data
@click.option(
    "--steps",
    type=click.IntRange(1),
    help="Number of steps, instead of the recipe's. More than a finished run had prolong it.",
)
@click.option("--seed", type=SEED, help="Seed, instead of the recipe's.")
@click.option(
    "--from",
    "start",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a checkpoint with whose weights training begins, instead of random ones. Its "
    "network is the recipe's.",
)
@device
@threads
@as_json
@runs("models.cli.actions.train:train")
def train() -> None:
    """Train a checkpoint by RECIPE: a shipped name (digits), a TOML file, or a folder of `mulan
    models new`.

    After the first evaluation of the held-out images there is a checkpoint to use, and
    training/samples.png shows what it draws. Ctrl-C stops after the present step and keeps what is
    trained; the same command goes on. Training is deterministic by seed on one kind of machine with
    one number of threads.
    """
