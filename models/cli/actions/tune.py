"""`mulan models tune`: presets for a checkpoint, by the images that they draw."""

from pathlib import Path

import torch

from models.checkpoints.checkpoint import load_checkpoint, save_manifest
from models.cli.lazy import Outcome
from models.evaluation.card.text import CURVES
from models.evaluation.recorded_data import RecordedData, subset
from models.evaluation.samples.drawing import Drawings
from models.evaluation.samples.plots import sweep_curves
from models.evaluation.samples.recognition import classifier_of
from models.evaluation.samples.sweep import REFERENCE, Judge, Tuning, sweep
from models.evaluation.samples.text import report
from models.runtimes.warmup import warm_up
from models.tuning.tune import Pilot, winners

BATCH = 64


def tune(
    folder: Path,
    data: str | None,
    test_data: str | None,
    pilot: int,
    images: int,
    seed: int,
    keep: Path | None,
    device: torch.device,
) -> Outcome:
    """Choose the presets of the checkpoint in `folder` and write them there."""
    checkpoint = load_checkpoint(folder, device)
    recorded = RecordedData(checkpoint.manifest, data, test_data)
    judge = Judge.of(classifier_of(recorded), subset(recorded.images("train"), REFERENCE))
    denoiser = warm_up(checkpoint.model, BATCH)
    kept = Drawings(denoiser, checkpoint.manifest.sha256, device, keep)
    chosen = list(Pilot(kept, judge, pilot, seed).chosen())
    found = sweep(kept, recorded, chosen, images, seed + 1)
    command = f"mulan models tune {folder.name} --pilot {pilot} --images {images} --seed {seed}"
    tuning = Tuning(command=command, pilot=pilot, sweep=found)
    manifest = checkpoint.manifest.model_copy(
        update={
            "presets": {name: spec.model_dump() for name, spec in winners(found).items()},
            "tuning": tuning.model_dump(mode="json"),
        }
    )
    sweep_curves(found, folder / CURVES)
    save_manifest(folder, manifest)
    return Outcome(tuning.model_dump(mode="json"), report(found))
