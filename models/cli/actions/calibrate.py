"""`mulan models calibrate`: fits the calibration of a checkpoint's verdicts."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click
import torch
from tqdm import tqdm

from models.anomaly.conformal import at_least
from models.anomaly.fitting import fit
from models.anomaly.kept import AnyCalibration, save_calibration
from models.anomaly.level_calibration import LevelCalibration
from models.anomaly.level_fitting import defect_calls, fit_levels
from models.anomaly.ranked import FEWEST
from models.anomaly.readings import Reading
from models.anomaly.rows import calls, read
from models.checkpoints.checkpoint import load_checkpoint
from models.cli.lazy import Outcome
from models.evaluation.recorded_data import RecordedData, subset
from models.files.images import Tokens
from models.runtimes.warmup import warm_up
from models.schema.errors import DataError
from models.schema.specs import FlowPath, Levels

BATCH = 64


def calibrate(
    folder: Path,
    data: str | None,
    images: int,
    seed: int,
    score: str,
    levels: int,
    steps: int,
    fresh: int,
    probes: int,
    device: torch.device,
) -> Outcome:
    """Fit the calibration of the checkpoint in `folder` and write it there."""
    checkpoint = load_checkpoint(folder, device)
    manifest = checkpoint.manifest
    recorded = RecordedData(manifest, data)
    path = FlowPath(steps=steps, fresh=fresh, probes=probes)
    spec = path if score == "path" else Levels(levels=levels)
    parts = [subset(recorded.images(part), images, seed) for part in ("density", "calibration")]
    if min(map(len, parts)) < FEWEST:
        raise DataError(f"{folder.name} has fewer than {FEWEST} images in a part")
    total = sum(calls(len(part), spec) for part in parts)
    denoiser = warm_up(checkpoint.model, BATCH)
    settings = f"--images {images} --seed {seed} --score {score}"
    if isinstance(spec, FlowPath):
        settings += f" --steps {steps} --fresh {fresh} --probes {probes}"
    else:
        settings += f" --levels {levels}"
        total += defect_calls(spec)
    command = f"mulan models calibrate {folder.name} {settings}"
    with tqdm(total=total, desc="reading", file=sys.stderr) as bar:

        def reading(part: Tokens) -> Sequence[Reading]:
            return read(denoiser, part, spec, seed, device, on_call=bar.update)

        density, own = [(reading(part), part) for part in parts]
        calibration: AnyCalibration
        if isinstance(spec, FlowPath):
            calibration = fit(manifest, spec, seed, density, own, command)
        else:
            calibration = fit_levels(manifest, spec, seed, density, own, reading, command)
    save_calibration(folder, calibration)
    if isinstance(calibration, LevelCalibration) and calibration.power.warning is not None:
        click.echo(f"warning: {calibration.power.warning}", err=True)
    return Outcome(calibration.model_dump(mode="json"), _text(folder, calibration))


def _text(folder: Path, calibration: AnyCalibration) -> str:
    """Return what was fitted, in counts, and what the power check found."""
    density, own = calibration.density_images, calibration.calibration_images
    lines = [
        f"{folder}: calibrated on {density.images} + {own.images} images, of which "
        f"{density.failed} + {own.failed} failed; alpha from {at_least(calibration.smallest_alpha)}"
    ]
    if isinstance(calibration, LevelCalibration):
        power = calibration.power
        lines += [
            power.summary,
            "",
            "| defect | drawn | AUROC | flagged at 0.05 |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {kind} | {seen.defects} | {seen.auroc:.3f} | {seen.flagged:.2f} |"
            for kind, seen in power.kinds.items()
        ]
    return "\n".join(lines)
