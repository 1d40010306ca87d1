"""Calibration on images that have the model's own shape and levels."""

import sys
from pathlib import Path

from tqdm import tqdm

from models.anomaly.any_fitting import calls_to_fit, fit_calibration
from models.anomaly.conformal import at_least
from models.anomaly.kept import AnyCalibration
from models.anomaly.ranked import FEWEST
from models.anomaly.readings import Reading
from models.anomaly.rows import read
from models.checkpoints.checkpoint import Checkpoint
from models.evaluation.anomalies.calibrating import Settings
from models.evaluation.recorded_data import RecordedData, subset
from models.files.images import Tokens, divide, load_images
from models.runtimes.warmup import warm_up
from models.schema.errors import DataError

BATCH = 64


def calibrate_on_arrays(
    checkpoint: Checkpoint,
    folder: Path,
    data: str | None,
    normal: Path | None,
    images: int,
    settings: Settings,
) -> tuple[AnyCalibration, str]:
    """Return a calibration, and its summary for people. Raises DataError."""
    parts, note = _parts(checkpoint, data, normal, images, settings.seed)
    if min(map(len, parts)) < FEWEST:
        fitted_on, ranked_by = map(len, parts)
        raise DataError(
            f"{normal or folder.name}: {fitted_on} images to fit on and {ranked_by} for p-values; "
            f"at least {FEWEST} are needed of each"
        )
    spec = settings.solver
    denoiser = warm_up(checkpoint.model, BATCH)
    total = calls_to_fit([len(part) for part in parts], spec)
    with tqdm(total=total, desc="reading", file=sys.stderr) as bar:

        def reading(part: Tokens) -> list[Reading]:
            return read(denoiser, part, spec, settings.seed, settings.device, on_call=bar.update)

        fitted, ranked = [(reading(part), part) for part in parts]
        calibration = fit_calibration(
            checkpoint.manifest, spec, settings.seed, fitted, ranked, reading, settings.command
        )
    density, own = calibration.density_images, calibration.calibration_images
    text = (
        f"{folder}: calibrated on {density.images} + {own.images} images, of which "
        f"{density.failed} + {own.failed} failed; alpha from {at_least(calibration.smallest_alpha)}"
    )
    return calibration, text + note


def _parts(
    checkpoint: Checkpoint, data: str | None, normal: Path | None, images: int, seed: int
) -> tuple[list[Tokens], str]:
    """Return the images of density and p-values, and what is to be said of them."""
    manifest = checkpoint.manifest
    if normal is None:
        recorded = RecordedData(manifest, data)
        return [
            subset(recorded.images("density"), images, seed),
            subset(recorded.images("calibration"), images, seed),
        ], ""
    given = load_images(str(normal), manifest.config)
    half = min(images, len(given) // 2)
    parts = divide(len(given), {"density": half, "calibration": half}, seed)
    note = (
        f"\nnote: it is not recorded which images {manifest.name} was trained on, one by one; make "
        "sure that none of these was among them"
    )
    return [given[index] for index in parts.values()], note
