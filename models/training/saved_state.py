"""The file from which a training run resumes: weights, averages, Adam's moments and the history."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from models.files.folders import write_atomically
from models.schema.errors import TrainingError

STATE = "training.safetensors"
ADAM_MOMENTS = ("exp_avg", "exp_avg_sq")


class Progress(NamedTuple):
    """One line of the training history.

    `total` and `held_out` are negative ELBOs in bits/dim with the paper's latent term: the first of
    the batches since the last line, the second of the held-out images with the averaged weights.
    `latent` is the latent term in nats, and `information` the part of it that z carries about its
    image; the rest is the KL from the mean of q(z|x) over a batch to the prior. `seconds` does not
    count work that a kill has lost.
    """

    step: int
    total: float
    held_out: float
    latent: float
    information: float
    seconds: float


class SavedState(NamedTuple):
    """The part of the file that is no tensor: the step, and the recipe and history up to it."""

    step: int
    recipe: dict[str, Any]
    history: list[Progress]


def write(
    path: Path,
    saved: SavedState,
    model: nn.Module,
    averaged: nn.Module,
    optimiser: torch.optim.Optimizer,
) -> None:
    """Write the file `path` at once or not at all, and its folder where there is none."""
    tensors = {f"model.{name}": p for name, p in model.state_dict().items()}
    tensors |= {f"averaged.{name}": p for name, p in averaged.state_dict().items()}
    for name, parameter in model.named_parameters():
        for moment in ADAM_MOMENTS:
            tensors[f"{moment}.{name}"] = optimiser.state[parameter][moment]
    history = {"recipe": saved.recipe, "history": saved.history}
    content = save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        metadata={"step": str(saved.step), "progress": json.dumps(history)},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)


def read(path: Path, device: torch.device) -> tuple[SavedState, dict[str, Tensor]]:
    """Return what the file `path` holds, with its tensors by name.

    Raises TrainingError where it cannot be read.
    """
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            metadata = file.metadata() or {}
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise TrainingError(f"{path}: {error}; delete it to start again") from error
    progress = json.loads(metadata.get("progress", "{}"))
    history = [Progress(*entry) for entry in progress.get("history", [])]
    return SavedState(int(metadata.get("step", 0)), progress.get("recipe", {}), history), tensors


def restore(
    tensors: dict[str, Tensor],
    step: int,
    model: nn.Module,
    averaged: nn.Module,
    optimiser: torch.optim.Optimizer,
) -> None:
    """Give model, averages and optimiser the saved tensors after `step` steps."""
    model.load_state_dict(_under("model.", tensors))
    averaged.load_state_dict(_under("averaged.", tensors))
    for name, parameter in model.named_parameters():
        moments = {moment: tensors[f"{moment}.{name}"] for moment in ADAM_MOMENTS}
        optimiser.state[parameter] = moments | {"step": torch.tensor(float(step))}


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `prefix`, by the rest of their names."""
    found = {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): tensor for name, tensor in found.items()}
