"""`mulan models evaluate`: figures from a checkpoint and its data."""

from pathlib import Path

import click
import torch

from models.checkpoint import load_checkpoint
from models.cli.options import as_json, device, emit, one_line_errors, root, threads
from models.evaluation.card import likelihood_table, write_card
from models.evaluation.likelihood import evaluate_likelihood
from models.evaluation.parts import part_of, subset
from models.runtimes.warmup import warm_up
from models.shelf import find
from models.specs import Rk45

BATCH = 64

data = click.option(
    "--data", help="Where the divided images lie, if not under their recorded name."
)
test_data = click.option("--test-data", help="Where the separate test images lie, likewise.")


@click.group()
def evaluate() -> None:
    """Measure a checkpoint."""


@evaluate.command()
@click.argument("name")
@root
@data
@test_data
@click.option("--images", type=click.IntRange(2), default=1000, show_default=True, help="At most.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--draws", type=click.IntRange(1), default=1, show_default=True)
@click.option("--probes", type=click.IntRange(1), default=Rk45().probes, show_default=True)
@click.option("--tolerance-nats", type=float, default=Rk45().tolerance_nats, show_default=True)
@device
@threads
@as_json
@one_line_errors
def likelihood(
    name: str,
    root: Path,
    data: str | None,
    test_data: str | None,
    images: int,
    seed: int,
    draws: int,
    probes: int,
    tolerance_nats: float,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Test bits/dim of the checkpoint NAME, by negative ELBO and by ODE."""
    if threads is not None:
        torch.set_num_threads(threads)
    checkpoint = load_checkpoint(find(name, root)[0], device)
    chosen = subset(part_of(checkpoint.manifest, "test", data, test_data), images, seed)
    figures = evaluate_likelihood(
        checkpoint.model,
        warm_up(checkpoint.model, BATCH),
        chosen,
        Rk45(probes=probes, tolerance_nats=tolerance_nats),
        draws=draws,
        seed=seed,
    )
    emit(figures.model_dump(mode="json"), likelihood_table(figures), as_json)


@evaluate.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@data
@test_data
@device
@threads
@as_json
@one_line_errors
def card(
    folder: Path,
    data: str | None,
    test_data: str | None,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Measure the checkpoint in FOLDER on all its test images and write its card there."""
    if threads is not None:
        torch.set_num_threads(threads)
    checkpoint = load_checkpoint(folder, device)
    test = part_of(checkpoint.manifest, "test", data, test_data)
    manifest = write_card(folder, checkpoint, warm_up(checkpoint.model, BATCH), test)
    emit(manifest.evaluation, f"{folder}: card written", as_json)
