"""`mulan models calibrate`."""

from pathlib import Path

import click

from models.anomaly.calibration import FEWEST
from models.anomaly.pictures import AGGREGATES
from models.cli.compute import SEED, device, threads
from models.cli.lazy import runs
from models.cli.options import as_json, data, of_spec
from models.schema.specs import FlowPath

IMAGES = 2000
_FOLDER = click.Path(exists=True, path_type=Path)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@data
@click.option(
    "--normal",
    type=_FOLDER,
    help="Good images to calibrate on, instead of those of the checkpoint's own split.",
)
@click.option(
    "--held-out", type=_FOLDER, help="Other good photographs, which are only judged and counted."
)
@click.option(
    "--defects", type=_FOLDER, help="Photographs of bad parts, which are only judged and counted."
)
@click.option(
    "--group",
    default="",
    help="Regular expression: photographs of --normal with the same match in their paths stay "
    "together.",
)
@click.option(
    "--aggregate",
    type=click.Choice([*AGGREGATES]),
    default="max",
    show_default=True,
    help="The way in which the scores of a photograph's tiles become one.",
)
@click.option(
    "--images",
    type=click.IntRange(FEWEST),
    default=IMAGES,
    show_default=True,
    help="At most this many images, or photographs, for the density and for the p-values each.",
)
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--steps", default=FlowPath().steps, show_default=True, callback=of_spec(FlowPath))
@click.option("--fresh", default=FlowPath().fresh, show_default=True, callback=of_spec(FlowPath))
@click.option("--probes", default=FlowPath().probes, show_default=True, callback=of_spec(FlowPath))
@device
@threads
@as_json
@runs("models.cli.actions.calibrate:calibrate")
def calibrate() -> None:
    """Fit the anomaly verdicts of the checkpoint in FOLDER and write calibration.json there.

    The density of normal statistics is fitted on one part of the good images, and p-values come
    from another. Without --normal they are the parts of the checkpoint's own split, which were not
    trained on. Images that were trained on are refused where it is recorded which ones were.
    """
