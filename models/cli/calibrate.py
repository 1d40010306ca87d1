"""`mulan models calibrate`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from models.anomaly.ranked import FEWEST
from models.cli.compute import SEED, device, threads
from models.cli.lazy import runs
from models.cli.options import as_json, data, of_spec
from models.schema.specs import FlowPath, Levels

IMAGES = 2000
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
@_setting(Levels, "levels")
@_setting(FlowPath, "steps")
@_setting(FlowPath, "fresh")
@_setting(FlowPath, "probes")
@device
@threads
@as_json
@runs("models.cli.actions.calibrate:calibrate")
def calibrate() -> None:
    """Fit the anomaly verdicts of the checkpoint in FOLDER and write calibration.json there.

    Whatever the score is made of is fitted on the density part of the checkpoint's own split, and
    p-values come from its calibration part. Neither part was trained on. By levels, defects are
    drawn on calibration images, and how many of them are seen is printed; a checkpoint that hardly
    sees any comes with a warning.
    """
