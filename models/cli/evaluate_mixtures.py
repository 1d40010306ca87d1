"""`mulan models evaluate mog`."""

from pathlib import Path

import click

from models.cli.compute import threads
from models.cli.lazy import runs
from models.cli.options import as_json
from models.evaluation.defaults import BUDGETS, MIXTURES


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("docs/mixtures"),
    show_default=True,
    help="Folder for the table and the pictures.",
)
@click.option(
    "--seeds", type=click.IntRange(2), default=5, show_default=True, help="Number of seeds."
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    type=click.Choice(MIXTURES),
    help="Only this mixture. May be repeated.",
)
@click.option(
    "--budget",
    "budgets",
    multiple=True,
    type=click.IntRange(4, 1000),
    help=f"Network evaluations, {', '.join(map(str, BUDGETS))} by default. May be repeated.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Number of processes that share the work. The results are the same.",
)
@threads
@as_json
@runs("models.cli.actions.evaluate_mixtures:mog")
def mog() -> None:
    """Compare all samplers on mixtures of Gaussians whose score is known exactly.

    Writes a table and pictures.
    """
