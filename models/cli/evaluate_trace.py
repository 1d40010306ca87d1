"""`mulan models evaluate trace`."""

import click

from models.cli.compute import SEED, threads
from models.cli.lazy import runs
from models.cli.options import as_json, data, root, test_data


@click.command()
@click.argument("name")
@root
@data
@test_data
@click.option("--images", type=click.IntRange(2), default=32, show_default=True)
@click.option(
    "--probes",
    type=click.IntRange(1, 64),
    multiple=True,
    default=(1, 2, 4),
    show_default=True,
    help="Number of probes; may be given several times.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="Solves of each image, with other probes each time.",
)
@click.option("--seed", type=SEED, default=0, show_default=True)
@threads
@as_json
@runs("models.cli.actions.evaluate_trace:trace")
def trace() -> None:
    """Measure the error of likelihoods that their probes make, and how often intervals cover it.

    Errors are those against the exact trace, or against 256 probes for images of more than 64
    values. NAME is a checkpoint.
    """
