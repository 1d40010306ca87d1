"""`mulan models calibrate`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from models.anomaly.pictures import AGGREGATES
from models.anomaly.ranked import FEWEST
from models.cli.compute import SEED, device, threads
from models.cli.lazy import runs
from models.cli.options import as_json, data, of_spec
from models.schema.specs import FlowPath, Levels

IMAGES = 2000
_FOLDER = click.Path(exists=True, path_type=Path)
Command = Callable[..., Any]


def _setting(spec: type[FlowPath] | type[Levels], name: str) -> Callable[[Command], Command]:
    """Return the option that sets the parameter `name` of the score by `spec`."""
    default = spec.model_fields[name].default
    text = f"{spec.model_fields[name].description} For --score {spec().name}."
    return click.option(
        f"--{name}", default=default, show_default=True, callback=of_spec(spec), help=text
    )


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
    default="mean-odds",
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
@click.option(
    "--class-label",
    type=click.IntRange(0),
    help="The class that the good images are of, for a model that has classes.",
)
@click.option(
    "--score",
    type=click.Choice(("levels", "path")),
    default="levels",
    show_default=True,
    help="Judge by the network's prediction on the image at several noise levels, with a detector "
    "of defects; or by one solve of the ODE.",
)
@_setting(Levels, "levels")
@_setting(FlowPath, "steps")
@_setting(FlowPath, "fresh")
@_setting(FlowPath, "probes")
@click.option(
    "--probing",
    type=click.Choice(("fresh", "fixed")),
    default="fresh",
    show_default=True,
    help=f"{FlowPath.model_fields['probing'].description} For --score path.",
)
@device
@threads
@as_json
@runs("models.cli.actions.calibrate:calibrate")
def calibrate() -> None:
    """Fit the anomaly verdicts of the checkpoint in FOLDER and write calibration.json there.

    Whatever the score is made of is fitted on one part of the good images, and p-values come from
    another. Without --normal they are the parts of the checkpoint's own split, which were not
    trained on. Images that were trained on are refused where it is recorded which ones were. By
    levels, defects are drawn on good images, and how many of them are seen is printed; a checkpoint
    that hardly sees any comes with a warning.
    """
