"""`mulan models evaluate defects`."""

from pathlib import Path

import click

from models.cli.compute import SEED, device, threads
from models.cli.lazy import runs
from models.cli.options import as_json

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option("--defects", required=True, type=_FOLDER, help="Photographs of bad parts.")
@click.option(
    "--masks",
    type=_FOLDER,
    help="Masks of the defects, white where the defect is. A mask has its photograph's path and "
    "size; `_mask` before its suffix does not count.",
)
@click.option(
    "--normal",
    type=_FOLDER,
    help="Good photographs to judge, which were used for nothing else, instead of the test part of "
    "the checkpoint's own split.",
)
@click.option("--data", help="Folder of the photographs that the checkpoint was made from, if it "
              "is not the recipe's.")  # fmt: skip
@click.option(
    "--divisions",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="How often calibration pictures and other good ones are divided anew.",
)
@click.option("--seed", type=SEED, default=0, show_default=True)
@device
@threads
@as_json
@runs("models.cli.actions.evaluate_defects:defects")
def defects() -> None:
    """Measure the calibrated checkpoint in FOLDER on photographs, beside detectors without a
    network.

    Every photograph is scored once. Printed are the numbers of good and of bad ones that are
    flagged at several alphas, by the calibration as it is and by new divisions of the good ones
    into calibration and judged pictures; AUROC by each aggregate of tiles; and AUROC of tiles and
    pictures and AU-PRO of the heatmaps for every detector, with 95 % bootstrap intervals. Pictures
    that the checkpoint was trained on, or its detector fitted on, are refused.
    """
