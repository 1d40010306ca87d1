"""`mulan models evaluate anomalies`."""

from pathlib import Path

import click

from models.cli.compute import SEED, device, threads
from models.cli.lazy import runs
from models.cli.options import Finite, as_json, data, root, test_data
from models.evaluation.anomalies.corruptions import CORRUPTIONS
from models.evaluation.defaults import ALPHA

TEST = "test"
EVERY = "corruptions"


@click.command()
@click.option("--model", "name", required=True, help="A checkpoint's name, or its folder.")
@root
@click.option(
    "--normal",
    default=TEST,
    show_default=True,
    help="Normal images: a name or a path. With `test`, the checkpoint's own test images.",
)
@click.option(
    "--abnormal",
    multiple=True,
    default=(EVERY,),
    show_default=True,
    help=f"Abnormal images: a name, a path or LABEL=PATH; or a corruption of the normal ones "
    f"({', '.join(CORRUPTIONS)}); or {EVERY} for all of these. May be repeated.",
)
@data
@test_data
@click.option(
    "--images",
    type=click.IntRange(2),
    default=1000,
    show_default=True,
    help="At most this many images of each set.",
)
@click.option(
    "--changed-pixels",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Also change one pixel of each of this many normal images, and count how often the "
    "heatmap is hottest there.",
)
@click.option("--alpha", type=Finite(0, 1, True, True), default=ALPHA, show_default=True)
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for ROC curves and histograms.",
)
@device
@threads
@as_json
@runs("models.cli.actions.evaluate_anomalies:anomalies")
def anomalies() -> None:
    """Measure the verdicts of a calibrated checkpoint.

    Prints the false alarms on normal images, and AUROC, AUPR and FPR95 of the score and of every
    statistic for each set of abnormal images.
    """
