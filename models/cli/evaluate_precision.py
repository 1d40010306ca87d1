"""`mulan models evaluate precision`."""

import click

from models.cli.compute import SEED, threads
from models.cli.lazy import runs
from models.cli.options import Finite, as_json, data, root, test_data


@click.command()
@click.argument("name")
@root
@data
@test_data
@click.option("--images", type=click.IntRange(2), default=32, show_default=True)
@click.option(
    "--nats",
    type=Finite(0, min_open=True),
    multiple=True,
    default=(2.0, 1.0, 0.5),
    show_default=True,
    help="Total standard error to ask for; may be given several times.",
)
@click.option(
    "--max-evaluations",
    type=click.IntRange(8, 20_000),
    default=2000,
    show_default=True,
    help="Network evaluations that an image may take.",
)
@click.option("--seed", type=SEED, default=0, show_default=True)
@threads
@as_json
@runs("models.cli.actions.evaluate_precision:precision")
def precision() -> None:
    """Ask for likelihoods with a total error, and measure how often they keep to it and what they
    take.

    True errors are those against the exact trace, for images of at most 64 values. NAME is a
    checkpoint.
    """
