"""`mulan models evaluate defects`."""

from pathlib import Path

import click

from models.cli.compute import SEED, device, threads
from models.cli.lazy import runs
from models.cli.options import Finite, as_json, root
from models.evaluation.defaults import ALPHA


@click.command()
@click.option("--model", "name", required=True, help="A checkpoint's name, or its folder.")
@root
@click.option(
    "--pictures",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with the sub-folders `good`, `defect` and `mask`, whose pictures were used for "
    "nothing else. A mask has its picture's path and is white where the defect is.",
)
@click.option(
    "--learn",
    required=True,
    help="Good tiles from which the baselines learn: a path as of training images.",
)
@click.option(
    "--shrink",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Divide the sides of the pictures by this before they are cut into tiles.",
)
@click.option("--alpha", type=Finite(0, 1, True, True), default=ALPHA, show_default=True)
@click.option("--seed", type=SEED, default=0, show_default=True)
@device
@threads
@as_json
@runs("models.cli.actions.evaluate_defects:defects")
def defects() -> None:
    """Measure a calibrated checkpoint on pictures of defects, beside detectors without a network.

    Prints AUROC of tiles and of pictures, and AU-PRO of the heatmaps, with 95 % bootstrap
    intervals, and the false alarms on good tiles.
    """
