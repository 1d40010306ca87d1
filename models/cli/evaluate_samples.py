"""`mulan models evaluate samples`."""

from pathlib import Path

import click

from models.cli.compute import SEED, device, threads
from models.cli.lazy import runs
from models.cli.options import as_json, data, drawings, root, test_data


@click.command()
@click.argument("name")
@root
@data
@test_data
@click.option("--images", type=click.IntRange(16), default=1000, show_default=True)
@click.option("--at-most", type=click.IntRange(1), help="Leave out settings with more evaluations.")
@click.option("--seed", type=SEED, default=2, show_default=True)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the table as CSV, the curves, and samples side by side.",
)
@drawings
@click.option(
    "--runtime",
    type=click.Choice(["auto", "onnx", "eager", "cuda-graph"]),
    default="eager",
    show_default=True,
    help="What runs the networks.",
)
@click.option(
    "--sample-dtype",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="Precision of the networks.",
)
@device
@threads
@as_json
@runs("models.cli.actions.evaluate_samples:samples")
def samples() -> None:
    """Measure how far the samples of the checkpoint NAME are from test images.

    Every sampler draws at 5 to 100 evaluations, with the checkpoint's tuned settings where it has
    them, and DDPM also at 250 and 1000. In another runtime or precision than the card's, eager
    float32, it also says which distances are more than two standard errors from the card's.
    """
