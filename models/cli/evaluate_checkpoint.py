"""`mulan models evaluate likelihood`, `recognition`, `card` and `ablation`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from models.cli.compute import SEED, device, threads
from models.cli.lazy import runs
from models.cli.options import as_json, data, of_spec, root, test_data
from models.cli.recipes import training_data, training_test_data
from models.evaluation.defaults import CARD_IMAGES, CARD_ODE_IMAGES
from models.evaluation.schedule.arms import ARMS
from models.schema.presets import PresetName
from models.schema.specs import Adams

Option = Callable[[Callable[..., Any]], Callable[..., Any]]

MOST_DRAWS = 1000


def _images(otherwise: object) -> Option:
    note = f"At most this many images, by default {otherwise}."
    return click.option("--images", type=click.IntRange(2), help=note)


def _ode_images(otherwise: object) -> Option:
    note = f"At most this many of them by the ODE, by default {otherwise}."
    return click.option("--ode-images", type=click.IntRange(2), help=note)


@click.command()
@click.argument("name")
@root
@data
@test_data
@_images("as many as its card")
@_ode_images("as many as its card")
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--draws", type=click.IntRange(1, MOST_DRAWS), default=1, show_default=True)
@click.option("--probes", default=Adams().probes, show_default=True, callback=of_spec(Adams))
@click.option(
    "--tolerance-nats", default=Adams().tolerance_nats, show_default=True, callback=of_spec(Adams)
)
@click.option("--paper", is_flag=True, help="Also use the authors' estimator, not a bound.")
@device
@threads
@as_json
@runs("models.cli.actions.evaluate_checkpoint:likelihood")
def likelihood() -> None:
    """Measure test bits/dim of the checkpoint NAME, by negative ELBO and by ODE.

    By default it measures the images that the card measured, and so repeats the card's figures.
    """


@click.command()
@click.argument("name")
@root
@data
@test_data
@click.option("--samples", type=click.IntRange(2), default=1000, show_default=True)
@click.option(
    "--preset",
    type=click.Choice(get_args(PresetName)),
    default="balanced",
    show_default=True,
    help="The preset that draws the samples.",
)
@device
@threads
@as_json
@runs("models.cli.actions.evaluate_checkpoint:recognition")
def recognition() -> None:
    """Measure whether a classifier of the real images recognises samples of the checkpoint NAME."""


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@data
@test_data
@_images(CARD_IMAGES)
@_ode_images(CARD_ODE_IMAGES)
@click.option(
    "--keep-likelihood", is_flag=True, help="Keep the likelihood's figures of the last card."
)
@device
@threads
@as_json
@runs("models.cli.actions.evaluate_checkpoint:card")
def card() -> None:
    """Measure the checkpoint in FOLDER, and write its card there with all pictures."""


@click.command()
@click.argument("recipe")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path))
@training_data
@training_test_data
@click.option(
    "--seeds", type=click.IntRange(1), default=3, show_default=True, help="Number of seeds."
)
@click.option("--steps", type=click.IntRange(1), help="Number of steps, instead of the recipe's.")
@_images(CARD_IMAGES)
@click.option(
    "--arm",
    "names",
    type=click.Choice(ARMS),
    multiple=True,
    help="A schedule to compare with `fixed`. May be repeated; without it all are compared.",
)
@device
@threads
@as_json
@runs("models.cli.actions.evaluate_checkpoint:ablation")
def ablation() -> None:
    """Train RECIPE with learned schedules and with a fixed one, and compare bits/dim.

    `fixed` is linear in time, `multivariate` is learned for each pixel and the same for all images,
    and `learned` depends on the latent too. These have the paper's loss; `recipe` is RECIPE as it
    is. A comparison that was killed resumes when the same command is given again.
    """
