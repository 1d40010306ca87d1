"""`mulan models evaluate`: figures from checkpoints and their data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch

from models.checkpoints.checkpoint import load_checkpoint
from models.cli.compute import SEED, device, threads
from models.cli.evaluate_anomalies import anomalies
from models.cli.evaluate_mixtures import mog
from models.cli.evaluate_ode import ode
from models.cli.evaluate_samples import samples
from models.cli.options import (
    as_json,
    data,
    emit,
    of_spec,
    one_line_errors,
    root,
    test_data,
)
from models.cli.recipes import chosen_recipe, training_data, training_test_data
from models.evaluation.card.card import IMAGES, ODE_IMAGES, carded, judge, write_card
from models.evaluation.card.text import likelihood_table, recognition_table
from models.evaluation.likelihood.likelihood import evaluate_likelihood
from models.evaluation.recorded_data import RecordedData, subset
from models.evaluation.samples.recognition import real_images
from models.evaluation.schedule.ablation import ablate, ablation_table
from models.files.shelf import find
from models.runtimes.warmup import warm_up
from models.schema.specs import Adams

BATCH = 64
Option = Callable[[Callable[..., Any]], Callable[..., Any]]

MOST_DRAWS = 1000


def _images(otherwise: object) -> Option:
    return click.option("--images", type=click.IntRange(2), help=f"At most; else {otherwise}.")


def _ode_images(otherwise: object) -> Option:
    note = f"Of these, how many by the ODE, at most; else {otherwise}."
    return click.option("--ode-images", type=click.IntRange(2), help=note)


@click.group()
def evaluate() -> None:
    """Measure a checkpoint, or the samplers."""


evaluate.add_command(anomalies)
evaluate.add_command(mog)
evaluate.add_command(ode)
evaluate.add_command(samples)


@evaluate.command()
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
@click.option("--paper", is_flag=True, help="By the authors' estimator too, which is no bound.")
@device
@threads
@as_json
@one_line_errors
def likelihood(
    name: str,
    root: Path,
    data: str | None,
    test_data: str | None,
    images: int | None,
    ode_images: int | None,
    seed: int,
    draws: int,
    probes: int,
    tolerance_nats: float,
    paper: bool,
    device: torch.device,
    as_json: bool,
) -> None:
    """Test bits/dim of the checkpoint NAME, by negative ELBO and by ODE.

    Unless told otherwise, of the images that its card measured: the card's figures again.
    """
    checkpoint = load_checkpoint(find(name, root)[0], device)
    recorded = RecordedData(checkpoint.manifest, data, test_data)
    carded_images, carded_ode_images = carded(checkpoint.manifest)
    chosen = subset(recorded.images("test"), images or carded_images, seed)
    figures = evaluate_likelihood(
        checkpoint.model,
        warm_up(checkpoint.model, BATCH),
        chosen,
        Adams(probes=probes, tolerance_nats=tolerance_nats),
        draws=draws,
        ode_images=ode_images or carded_ode_images,
        seed=seed,
        paper=paper,
    )
    emit(figures.model_dump(mode="json"), likelihood_table(figures), as_json)


@evaluate.command()
@click.argument("name")
@root
@data
@test_data
@click.option("--samples", type=click.IntRange(2), default=1000, show_default=True)
@device
@threads
@as_json
@one_line_errors
def recognition(
    name: str,
    root: Path,
    data: str | None,
    test_data: str | None,
    samples: int,
    device: torch.device,
    as_json: bool,
) -> None:
    """Whether a classifier of the real images recognises what the checkpoint NAME draws."""
    checkpoint = load_checkpoint(find(name, root)[0], device)
    real = real_images(RecordedData(checkpoint.manifest, data, test_data))
    found = judge(checkpoint, warm_up(checkpoint.model, BATCH), real, samples)
    emit(found.model_dump(mode="json"), recognition_table(found), as_json)


@evaluate.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@data
@test_data
@_images(IMAGES)
@_ode_images(ODE_IMAGES)
@click.option(
    "--keep-likelihood", is_flag=True, help="Take the likelihood's figures from the last card."
)
@device
@threads
@as_json
@one_line_errors
def card(
    folder: Path,
    data: str | None,
    test_data: str | None,
    images: int | None,
    ode_images: int | None,
    keep_likelihood: bool,
    device: torch.device,
    as_json: bool,
) -> None:
    """Measure the checkpoint in FOLDER and write its card there, with all its pictures."""
    checkpoint = load_checkpoint(folder, device)
    real = real_images(RecordedData(checkpoint.manifest, data, test_data))
    manifest = write_card(
        folder,
        checkpoint,
        warm_up(checkpoint.model, BATCH),
        real,
        images=images or IMAGES,
        ode_images=ode_images or ODE_IMAGES,
        keep_likelihood=keep_likelihood,
    )
    emit(manifest.evaluation, f"{folder}: card written", as_json)


@evaluate.command()
@click.argument("recipe")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path))
@training_data
@training_test_data
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="How many.")
@click.option("--steps", type=click.IntRange(1), help="Instead of the recipe's.")
@_images(IMAGES)
@device
@threads
@as_json
@one_line_errors
def ablation(
    recipe: str,
    out: Path,
    data: str | None,
    test_data: str | None,
    seeds: int,
    steps: int | None,
    images: int | None,
    device: torch.device,
    as_json: bool,
) -> None:
    """Train RECIPE with its learned schedule and with a fixed one, and compare bits/dim.

    A comparison that was killed goes on when the same command is given again.
    """
    chosen = chosen_recipe(recipe, data, test_data, steps=steps)
    found = ablate(chosen, range(seeds), images or IMAGES, out, device)
    emit(found.model_dump(mode="json"), ablation_table(found), as_json)
