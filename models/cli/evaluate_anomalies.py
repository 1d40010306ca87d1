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
    help="Normal images: a name or a path; or the checkpoint's own test images.",
)
@click.option(
    "--abnormal",
    multiple=True,
    default=(EVERY,),
    show_default=True,
    help=f"Abnormal images, as often as wanted: a name or a path, or LABEL=PATH; or what "
    f"damages the normal ones: {', '.join(CORRUPTIONS)}; or {EVERY}, for each of these.",
)
@data
@test_data
@click.option(
    "--images",
    type=click.IntRange(2),
    default=1000,
    show_default=True,
    help="Most images of each set.",
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
    """AUROC, AUPR and FPR95 of a calibrated checkpoint's score and of every statistic, and its
    false alarms on normal images."""
