"""Training runs: from a recipe to a checkpoint folder."""

import os
import platform
import shutil
from pathlib import Path

import numpy as np
import torch

from models.checkpoints.checkpoint import save_manifest, save_weights
from models.files.images import digest, divide, fingerprint, load_images
from models.schema.errors import TrainingError
from models.schema.manifest import MANIFEST, DataRecord, Manifest, TrainingRecord, read_manifest
from models.training.recipe import Recipe
from models.training.trainer import WATCH_DRAWS, Trainer

WORK = "training"


def train(recipe: Recipe, out: Path, device: torch.device, command: str) -> Manifest:
    """Follow a recipe and write the checkpoint to `out`.

    A run that was killed resumes from what it left in `out`; of a finished run the manifest is
    returned. `command` is recorded, so that a reader can repeat the run. Raises DataError,
    CheckpointError, and TrainingError where `out` belongs to another recipe or the loss diverges.
    """
    if (out / MANIFEST).exists():
        return _finished(recipe, out)
    images = load_images(recipe.data.source, recipe.model)
    test_source = recipe.data.test_source
    test = None if test_source is None else load_images(test_source, recipe.model)
    parts = divide(len(images), recipe.data.split, recipe.data.split_seed)
    held_out = images[parts["density"]] if "density" in parts else images[parts["train"]]
    trainer = Trainer(recipe, images[parts["train"]], held_out, device, out / WORK)
    model = trainer.run()
    split = {part: fingerprint(indices) for part, indices in parts.items()}
    if test is not None:
        split["test"] = fingerprint(np.arange(len(test)))
    manifest = Manifest(
        name=recipe.name,
        config=recipe.model,
        sha256=save_weights(out, recipe.model, dict(model.state_dict())),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        data=DataRecord(
            source=_public_name(recipe.data.source),
            sha256=digest(images),
            test_source=test_source and _public_name(test_source),
            test_sha256=None if test is None else digest(test),
            licence=recipe.data.licence,
            split_seed=recipe.data.split_seed,
            split=split,
        ),
        training=TrainingRecord(
            command=command,
            recipe=recipe.record(),
            seed=recipe.optimisation.seed,
            steps=trainer.step,
            seconds=trainer.history[-1].seconds,
            machine=describe_machine(device),
            torch=torch.__version__,
            history=[entry._asdict() for entry in trainer.history],
            held_out_draws=WATCH_DRAWS,
        ),
    )
    save_manifest(out, manifest)
    shutil.rmtree(out / WORK)
    return manifest


def _finished(recipe: Recipe, out: Path) -> Manifest:
    manifest = read_manifest(out)
    if manifest.training is None or manifest.training.recipe != recipe.record():
        raise TrainingError(f"{out} belongs to another recipe; delete it or train elsewhere")
    return manifest


def describe_machine(device: torch.device) -> str:
    """Describe device, processor and threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    capability = torch.backends.cpu.get_cpu_capability()
    threads = torch.get_num_threads()
    return f"CPU ({platform.machine()}, {capability}), {os.cpu_count()} cores, {threads} thread(s)"


def _public_name(source: str) -> str:
    """Return a data set's name or the name of its file, without the folders of this machine."""
    return Path(source).name
