"""`mulan models evaluate ode-error`."""

from pathlib import Path

import click

from models.cli.compute import SEED, device, threads
from models.cli.lazy import runs
from models.cli.options import as_json, data, test_data
from models.evaluation.defaults import LEAST_STEPS


@click.command("ode-error")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@data
@test_data
@click.option("--images", type=click.IntRange(2), default=16, show_default=True)
@click.option(
    "--reference-steps",
    type=click.IntRange(100),
    default=200,
    show_default=True,
    help="Steps of the solves that errors are measured from: at least 1.8 times those measured.",
)
@click.option(
    "--steps",
    type=click.IntRange(LEAST_STEPS, 1000),
    default=LEAST_STEPS,
    show_default=True,
    help="Fewest steps of a solve at the default tolerance. More leave less noise of the trace.",
)
@click.option("--seed", type=SEED, default=0, show_default=True)
@device
@threads
@as_json
@runs("models.cli.actions.evaluate_ode_error:ode_error")
def ode_error() -> None:
    """Measure the factors in the estimate of the ODE's error, and write them to FOLDER.

    With them the estimate of a likelihood covers the error of 95 % of images. They are measured on
    held-out images that verdicts are calibrated on, or on test images where there are no others.
    The service uses them once it reads the checkpoint's manifest again.
    """
