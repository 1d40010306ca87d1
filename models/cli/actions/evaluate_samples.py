"""`mulan models evaluate samples`: every sampler over numbers of evaluations."""

from pathlib import Path

import torch

from models.checkpoints.checkpoint import load_checkpoint
from models.cli.lazy import Outcome
from models.evaluation.card.text import CURVES
from models.evaluation.recorded_data import RecordedData
from models.evaluation.samples.drawing import Drawings
from models.evaluation.samples.plots import side_by_side, sweep_curves
from models.evaluation.samples.sweep import Tuning, sweep, write_csv
from models.evaluation.samples.text import report
from models.files.shelf import find
from models.runtimes.warmup import warm_up
from models.schema.manifest import Manifest
from models.schema.specs import SamplerSpec
from models.tuning.shapes import untuned

BATCH = 64


def samples(
    name: str,
    root: Path,
    data: str | None,
    test_data: str | None,
    images: int,
    at_most: int | None,
    seed: int,
    out: Path | None,
    keep: Path | None,
    device: torch.device,
) -> Outcome:
    """Measure how far each sampler's images are from the test images."""
    checkpoint = load_checkpoint(find(name, root)[0], device)
    denoiser = warm_up(checkpoint.model, BATCH)
    kept = Drawings(denoiser, checkpoint.manifest.sha256, device, keep)
    specs = [
        spec
        for spec in settings(checkpoint.manifest)
        if at_most is None or spec.evaluations <= at_most
    ]
    recorded = RecordedData(checkpoint.manifest, data, test_data)
    found = sweep(kept, recorded, specs, images, seed)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_csv(found, out / "samples.csv")
        sweep_curves(found, out / CURVES)
        side_by_side(found, kept, out / "side-by-side.png")
    return Outcome(found.model_dump(mode="json"), report(found))


def settings(manifest: Manifest) -> list[SamplerSpec]:
    """Return the settings of the checkpoint's tuning, or untuned ones: every sampler at every
    budget."""
    if not manifest.tuning:
        return untuned()
    return [row.solver for row in Tuning.model_validate(manifest.tuning).sweep.rows]
