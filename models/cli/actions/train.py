"""`mulan models train`."""

import shlex
from pathlib import Path

import torch

from models.cli.actions.recipes import chosen_recipe
from models.cli.lazy import Outcome
from models.schema.manifest import MANIFEST
from models.training import run


def train(
    recipe: str,
    out: Path,
    data: str | None,
    test_data: str | None,
    steps: int | None,
    seed: int | None,
    device: torch.device,
) -> Outcome:
    """Train a checkpoint by a recipe into the folder `out`."""
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
    manifest = run.train(chosen, out, device, shlex.join(command))
    record = {"name": manifest.name, "sha256": manifest.sha256, "folder": str(out)}
    note = ", already trained" if already else ""
    return Outcome(record, f"{out}: {manifest.name} {manifest.sha256}{note}")
