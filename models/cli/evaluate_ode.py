"""`mulan models evaluate ode`."""

from pathlib import Path

import click

from models.cli.compute import SEED, threads
from models.cli.lazy import runs
from models.cli.options import Finite, as_json, data, root, test_data
from models.evaluation.defaults import ODE_SOLVERS, REFERENCE_TOLERANCE


@click.command()
@click.argument("name")
@root
@data
@test_data
@click.option("--images", type=click.IntRange(2), default=16, show_default=True)
@click.option("--probes", type=click.IntRange(1, 64), default=2, show_default=True)
@click.option(
    "--reference",
    type=Finite(0, min_open=True),
    default=REFERENCE_TOLERANCE,
    show_default=True,
    help="Tolerance, in nats, of the solution that errors are measured from.",
)
@click.option(
    "--solver",
    "solvers",
    type=click.Choice(ODE_SOLVERS),
    multiple=True,
    default=ODE_SOLVERS,
    show_default=True,
    help="Solver to measure; may be given several times. Points of the others are kept from an "
    "earlier run with the same options in --out.",
)
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for NAME.json, and a picture of all such files there.",
)
@threads
@as_json
@runs("models.cli.actions.evaluate_ode:ode")
def ode() -> None:
    """Measure the errors of ODE solvers over their evaluations, against a solution in float64.

    The solvers are the service's, Dormand and Prince's pair, and the official code's solve. NAME is
    a checkpoint, or `mixture` for a mixture of Gaussians with its exact score.
    """
