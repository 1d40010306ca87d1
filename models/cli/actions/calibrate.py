"""`mulan models calibrate`: fits the calibration of a checkpoint's verdicts."""

import sys
from pathlib import Path

import torch
from tqdm import tqdm

from models.anomaly.calibration import FEWEST, save_calibration
from models.anomaly.conformal import at_least
from models.anomaly.fitting import fit
from models.anomaly.rows import calls, read
from models.checkpoints.checkpoint import load_checkpoint
from models.cli.lazy import Outcome
from models.evaluation.recorded_data import RecordedData, subset
from models.runtimes.warmup import warm_up
from models.schema.errors import DataError
from models.schema.specs import FlowPath

BATCH = 64


def calibrate(
    folder: Path,
    data: str | None,
    images: int,
    seed: int,
    steps: int,
    fresh: int,
    probes: int,
    device: torch.device,
) -> Outcome:
    """Fit the calibration of the checkpoint in `folder` and write it there."""
    checkpoint = load_checkpoint(folder, device)
    recorded = RecordedData(checkpoint.manifest, data)
    spec = FlowPath(steps=steps, fresh=fresh, probes=probes)
    parts = [subset(recorded.images(part), images, seed) for part in ("density", "calibration")]
    if min(map(len, parts)) < FEWEST:
        raise DataError(f"{folder.name} has fewer than {FEWEST} images in a part")
    total = sum(calls(len(part), spec) for part in parts)
    denoiser = warm_up(checkpoint.model, BATCH)
    with tqdm(total=total, desc="reading", file=sys.stderr) as bar:
        found = [
            (read(denoiser, part, spec, seed, device, on_call=bar.update), part) for part in parts
        ]
    settings = f"--images {images} --seed {seed} --steps {steps} --fresh {fresh} --probes {probes}"
    calibration = fit(
        checkpoint.manifest,
        spec,
        seed,
        found[0],
        found[1],
        command=f"mulan models calibrate {folder.name} {settings}",
    )
    save_calibration(folder, calibration)
    density, own = calibration.density_images, calibration.calibration_images
    text = (
        f"{folder}: calibrated on {density.images} + {own.images} images, of which "
        f"{density.failed} + {own.failed} failed; alpha from {at_least(calibration.smallest_alpha)}"
    )
    return Outcome(calibration.model_dump(mode="json"), text)
