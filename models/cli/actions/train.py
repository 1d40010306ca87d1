"""`mulan models train`."""

import shlex
from pathlib import Path

import torch

from models.cli.actions.recipes import chosen_recipe
from models.cli.actions.stopping import stop_on_interrupt
from models.cli.lazy import Outcome
from models.schema.errors import TrainingError
from models.schema.manifest import MANIFEST, read_manifest
from models.training import run


def train(
    recipe: str,
    out: Path | None,
    data: str | None,
    test_data: str | None,
    steps: int | None,
    seed: int | None,
    start: Path | None,
    device: torch.device,
) -> Outcome:
    """Train a checkpoint by a recipe into the folder `out`."""
    chosen = chosen_recipe(recipe, data, test_data, steps=steps, seed=seed)
    if out is None:
        out = Path(recipe)
        if not out.is_dir():
            raise TrainingError(f"--out is missing: say where the checkpoint of {recipe} goes")
    options = {
        "--steps": steps,
        "--seed": seed,
        "--from": start and start.name,
        "--data": data and Path(data).name,
        "--test-data": test_data and Path(test_data).name,
    }
    given = [str(word) for pair in options.items() if pair[1] is not None for word in pair]
    command = ["mulan", "models", "train", Path(recipe).name, "--out", "DIR"]
    command += ["--device", str(device), *given, "--threads", str(torch.get_num_threads())]
    before = _trained(out)
    with stop_on_interrupt("stopping after this step; what is trained is kept") as stopped:
        manifest = run.train(chosen, out, device, shlex.join(command), stopped, start)
        early = stopped()
    assert manifest.training is not None
    done, total = manifest.training.steps, chosen.optimisation.steps
    record = {"name": manifest.name, "sha256": manifest.sha256, "folder": str(out), "steps": done}
    if before >= total:
        note = "already trained"
    else:
        note = f"{manifest.training.history[-1]['held_out']:.3f} held-out bits/dim"
        if early and done < total:
            note += f", stopped at step {done} of {total} and kept; the same command goes on"
    text = f"{out}: {manifest.name} {manifest.sha256}, {note}"
    if chosen.preprocessing is not None:
        text += f"\nnext: mulan models calibrate {out}"
    return Outcome(record, text)


def _trained(out: Path) -> int:
    """Return the number of steps that a checkpoint has been trained for already."""
    if not (out / MANIFEST).exists():
        return 0
    training = read_manifest(out).training
    return 0 if training is None else training.steps
