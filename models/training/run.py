"""Training runs: from a recipe to a checkpoint folder, which is usable from the first look on."""

import os
import platform
from collections.abc import Callable
from pathlib import Path

import torch

from models.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_manifest, save_weights
from models.files import extras
from models.schema.errors import MissingExtraError, TrainingError
from models.schema.manifest import MANIFEST, Manifest, TrainingRecord, read_manifest
from models.training.material import Material, gather
from models.training.recipe import Recipe
from models.training.samples import save_samples
from models.training.saved_state import STATE
from models.training.trainer import WATCH_DRAWS, Trainer

WORK = "training"


def train(
    recipe: Recipe,
    out: Path,
    device: torch.device,
    command: str,
    stopped: Callable[[], bool] = lambda: False,
    start: Path | None = None,
) -> Manifest:
    """Follow a recipe and write the checkpoint to `out`.

    At every look at the held-out images the averaged weights become the checkpoint (with `keep =
    "best"` only where they are the best so far), so that a run may be stopped at any time. A run
    that was stopped or killed resumes from what it left in `out`, and one that has ended is
    prolonged where the recipe names more steps; else the manifest is returned. A new run begins
    with the weights of the checkpoint in the folder `start`, where there is one. `command` is
    recorded, so that a reader can repeat the run. Raises DataError, CheckpointError, and
    TrainingError where `out` belongs to another recipe or began with other weights, cannot be
    prolonged, or the loss diverges, and where the network of `start` is not the recipe's.
    """
    first = None if start is None else _start(recipe, start)
    sha256 = None if first is None else first.manifest.sha256
    if (out / MANIFEST).exists() and (finished := _finished(recipe, out, sha256)) is not None:
        return finished
    material = gather(recipe, device)
    _check_writable(out / WORK)
    weights = None if first is None else dict(first.model.state_dict())
    trainer = Trainer(recipe, material.batches, material.held_out, device, out / WORK, weights)
    run = _Run(recipe, out, device, command, material, trainer, sha256)
    trainer.run(run.look, stopped)
    if not trainer.history:
        raise TrainingError(f"{out}: stopped before the first step")
    if run.looks == 0:
        # The run before was killed after it saved its state.
        run.look()
    return read_manifest(out)


def _check_writable(folder: Path) -> None:
    """Make the folder, so that hours of training do not end where nothing can be written. Raises
    TrainingError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{folder} cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise TrainingError(f"{folder} cannot be written to")


class _Run:
    """The files that one run writes at each look."""

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        device: torch.device,
        command: str,
        material: Material,
        trainer: Trainer,
        started_from: str | None,
    ) -> None:
        self.recipe, self.out, self.device, self.command = recipe, out, device, command
        self.started_from = started_from
        self.material, self.trainer = material, trainer
        self.looks = 0

    def look(self) -> None:
        """Make the averaged weights the checkpoint, and draw samples of them and the curve."""
        self.looks += 1
        save_samples(self.trainer.averaged, self.out / WORK, self.device)
        self._draw_curve()
        settings, exists = self.recipe.optimisation, (self.out / MANIFEST).exists()
        if settings.keep == "last" or self.trainer.is_best() or not exists:
            model = self.trainer.averaged
            sha256 = save_weights(self.out, self.recipe.model, dict(model.state_dict()))
            kept = None
        else:
            before = read_manifest(self.out)
            assert before.training is not None
            sha256, kept = before.sha256, before.training.kept_step or before.training.steps
        if self.material.pictures is not None:
            self.material.pictures.save(self.out)
        save_manifest(self.out, self._manifest(sha256, kept))

    def _draw_curve(self) -> None:
        """Draw the history so far. Without matplotlib a run goes on without the picture."""
        try:
            curve = extras.module("models.training.curve")
        except MissingExtraError:
            return
        history = [entry._asdict() for entry in self.trainer.history]
        curve.training_curve(history, self.out / WORK / curve.CURVE)

    def _manifest(self, sha256: str, kept_step: int | None) -> Manifest:
        trainer, settings = self.trainer, self.recipe.optimisation
        return Manifest(
            name=self.recipe.name,
            config=self.recipe.model,
            sha256=sha256,
            parameters=sum(parameter.numel() for parameter in trainer.averaged.parameters()),
            preprocessing=self.recipe.preprocessing,
            data=self.material.record,
            training=TrainingRecord(
                command=self.command,
                recipe=self.recipe.record(),
                seed=settings.seed,
                started_from=self.started_from,
                steps=trainer.step,
                kept_step=kept_step,
                seconds=trainer.seconds,
                machine=describe_machine(self.device),
                torch=torch.__version__,
                history=[entry._asdict() for entry in trainer.history],
                held_out_draws=WATCH_DRAWS,
            ),
        )


def _start(recipe: Recipe, folder: Path) -> Checkpoint:
    """Return the checkpoint in `folder`, with whose weights a run by `recipe` begins."""
    checkpoint = load_checkpoint(folder)
    if checkpoint.manifest.config != recipe.model:
        raise TrainingError(
            f"{folder} has another configuration than the recipe {recipe.name}; training begins "
            "only with the weights of the same network"
        )
    return checkpoint


def _finished(recipe: Recipe, out: Path, started_from: str | None) -> Manifest | None:
    """Return the manifest of a run that has nothing left to do, or None for one that goes on."""
    manifest = read_manifest(out)
    if manifest.training is None or not recipe.prolongs(manifest.training.recipe):
        raise TrainingError(f"{out} belongs to another recipe; delete it or train elsewhere")
    if manifest.training.started_from != started_from:
        raise TrainingError(
            f"{out} began with {_weights(manifest.training.started_from)}, not with "
            f"{_weights(started_from)}; give the same --from, or train elsewhere"
        )
    if manifest.training.steps >= recipe.optimisation.steps:
        return manifest
    if not (out / WORK / STATE).exists():
        raise TrainingError(
            f"{out} was trained for {manifest.training.steps} steps, and its folder {WORK}, from "
            "which training would go on, is gone; train elsewhere"
        )
    return None


def _weights(sha256: str | None) -> str:
    return "random weights" if sha256 is None else f"the weights {sha256}"


def describe_machine(device: torch.device) -> str:
    """Describe device, processor and threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    capability = torch.backends.cpu.get_cpu_capability()
    threads = torch.get_num_threads()
    return f"CPU ({platform.machine()}, {capability}), {os.cpu_count()} cores, {threads} thread(s)"
