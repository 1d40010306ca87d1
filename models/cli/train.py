"""`mulan models train`."""

import shlex
from pathlib import Path

import click
import torch

from models.cli.compute import SEED, device, threads
from models.cli.options import as_json, emit, one_line_errors
from models.cli.recipes import chosen_recipe, training_data, training_test_data
from models.schema.manifest import MANIFEST
from models.training.run import train as follow


@click.command("train")
@click.argument("recipe")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path))
@training_data
@training_test_data
@click.option("--steps", type=click.IntRange(1), help="Instead of the recipe's.")
@click.option("--seed", type=SEED, help="Instead of the recipe's.")
@device
@threads
@as_json
@one_line_errors
def train(
    recipe: str,
    out: Path,
    data: str | None,
    test_data: str | None,
    steps: int | None,
    seed: int | None,
    device: torch.device,
    as_json: bool,
) -> None:
    """Train a checkpoint by RECIPE, a shipped name (digits) or a TOML file, into --out.

    Deterministic by seed on one kind of machine with one number of threads. A run that was killed
    goes on from where it last saved when the same command is given again; one that is finished is
    left as it is.
    """
    chosen = chosen_recipe(recipe, data, test_data, steps=steps, seed=seed)
    options = {
        "--steps": steps,
        "--seed": seed,
        "--data": data and Path(data).name,
        "--test-data": test_data and Path(test_data).name,
    }
    given = [str(word) for pair in options.items() if pair[1] is not None for word in pair]
    command = ["mulan", "models", "train", Path(recipe).name, "--out", "DIR"]
    command += ["--device", str(device), *given, "--threads", str(torch.get_num_threads())]
    already = (out / MANIFEST).exists()
    manifest = follow(chosen, out, device, shlex.join(command))
    record = {"name": manifest.name, "sha256": manifest.sha256, "folder": str(out)}
    note = ", already trained" if already else ""
    emit(record, f"{out}: {manifest.name} {manifest.sha256}{note}", as_json)
