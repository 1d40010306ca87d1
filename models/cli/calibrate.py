"""`mulan models calibrate`."""

from pathlib import Path

import click

from models.anomaly.ranked import FEWEST
from models.cli.compute import SEED, device, threads
from models.cli.lazy import runs
from models.cli.options import as_json, data, of_spec
from models.schema.specs import FlowPath, Levels

IMAGES = 2000


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@data
@click.option(
    "--images",
    type=click.IntRange(FEWEST),
    default=IMAGES,
    show_default=True,
    help="At most this many images of the density part and of the calibration part.",
)
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option(
    "--score",
    type=click.Choice(("levels", "path")),
    default="levels",
    show_default=True,
    help="Judge by the network's prediction on the image at several noise levels, with a detector "
    "of defects; or by one solve of the ODE.",
)
@click.option("--levels", default=Levels().levels, show_default=True, callback=of_spec(Levels))
@click.option("--steps", default=FlowPath().steps, show_default=True, callback=of_spec(FlowPath))
@click.option("--fresh", default=FlowPath().fresh, show_default=True, callback=of_spec(FlowPath))
@click.option("--probes", default=FlowPath().probes, show_default=True, callback=of_spec(FlowPath))
@device
@threads
@as_json
@runs("models.cli.actions.calibrate:calibrate")
def calibrate() -> None:
    """Fit the anomaly verdicts of the checkpoint in FOLDER and write calibration.json there.

    The density of normal statistics is fitted on the density part of the checkpoint's own split,
    and p-values come from its calibration part. Neither part was trained on.
    """
