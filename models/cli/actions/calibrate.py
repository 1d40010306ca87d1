"""`mulan models calibrate`: fits the calibration of a checkpoint's verdicts."""

from pathlib import Path
from typing import Literal

import click
import torch

from models.anomaly.kept import save_calibration
from models.anomaly.level_calibration import LevelCalibration
from models.anomaly.pictures import Aggregate
from models.anomaly.power import Power
from models.checkpoints.checkpoint import load_checkpoint
from models.cli.actions.calibrate_arrays import calibrate_on_arrays
from models.cli.actions.calibration_pictures import calibration_pictures, report
from models.cli.lazy import Outcome
from models.evaluation.anomalies.calibrating import Settings, calibrate_on_pictures
from models.runtimes.warmup import warm_up
from models.schema.errors import DataError
from models.schema.manifest import Manifest
from models.schema.specs import FlowPath, Levels

BATCH = 64
# The options of each score.
SETTINGS = {"levels": ("levels",), "path": ("steps", "fresh", "probes", "probing")}


def calibrate(
    folder: Path,
    data: str | None = None,
    normal: Path | None = None,
    held_out: Path | None = None,
    defects: Path | None = None,
    group: str = "",
    aggregate: Aggregate = "mean-odds",
    images: int = 2000,
    seed: int = 0,
    class_label: int | None = None,
    score: str = "levels",
    levels: int = Levels().levels,
    steps: int = FlowPath().steps,
    fresh: int = FlowPath().fresh,
    probes: int = FlowPath().probes,
    probing: Literal["fresh", "fixed"] = "fresh",
    device: torch.device = torch.device("cpu"),  # noqa: B008 - it is never changed
) -> Outcome:
    """Fit the calibration of the checkpoint in `folder` and write it there."""
    checkpoint = load_checkpoint(folder, device)
    manifest = checkpoint.manifest
    _check_class(class_label, manifest)
    spec = (
        Levels(levels=levels, class_label=class_label)
        if score == "levels"
        else FlowPath(
            steps=steps, fresh=fresh, probes=probes, probing=probing, class_label=class_label
        )
    )
    words = [f"mulan models calibrate {folder.resolve().name}"]
    words += [] if normal is None else [f"--normal {normal.name}"]
    words += [] if manifest.preprocessing is None else [f"--aggregate {aggregate}"]
    words += [] if class_label is None else [f"--class-label {class_label}"]
    words += [f"--images {images} --seed {seed} --score {score}"]
    words += [f"--{name} {getattr(spec, name)}" for name in SETTINGS[spec.name]]
    settings = Settings(spec, seed, aggregate, " ".join(words), device)
    if manifest.preprocessing is None:
        if held_out is not None or defects is not None or group:
            raise DataError(
                f"{manifest.name} has no preprocessing: it takes no photographs, and --held-out, "
                "--defects and --group are for those"
            )
        calibration, text = calibrate_on_arrays(checkpoint, folder, data, normal, images, settings)
    else:
        sets = calibration_pictures(
            folder, manifest, data, normal, held_out, defects, group, images
        )
        denoiser = warm_up(checkpoint.model, BATCH)
        scores = calibrate_on_pictures(manifest, denoiser, sets, settings)
        calibration, text = scores.calibration, report(folder, sets, scores)
    save_calibration(folder, calibration)
    if isinstance(calibration, LevelCalibration):
        text += f"\n{_seen(calibration.power)}"
        if calibration.power.warning is not None:
            click.echo(f"warning: {calibration.power.warning}", err=True)
    return Outcome(calibration.model_dump(mode="json"), text)


def _check_class(label: int | None, manifest: Manifest) -> None:
    """Raise DataError unless the good images of a model with classes are said to be of one."""
    classes = manifest.config.classes
    if label is not None and not classes:
        raise DataError(f"{manifest.name} has no classes: leave --class-label out")
    if classes and (label is None or label >= classes):
        raise DataError(
            f"{manifest.name} has classes: say by --class-label, 0 to {classes - 1}, which one the "
            "good images are of"
        )


def _seen(power: Power) -> str:
    """Return what the power check found, as a table."""
    lines = [
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
