"""`mulan models calibrate`: what a checkpoint's verdicts on images are measured by."""

import sys
from pathlib import Path

import click
import torch
from tqdm import tqdm

from models.anomaly.calibration import FEWEST, save_calibration
from models.anomaly.conformal import at_least
from models.anomaly.fitting import fit
from models.anomaly.rows import calls, read
from models.checkpoints.checkpoint import load_checkpoint
from models.cli.compute import SEED, device, threads
from models.cli.options import as_json, data, emit, of_spec, one_line_errors
from models.evaluation.recorded_data import RecordedData, subset
from models.runtimes.warmup import warm_up
from models.schema.errors import DataError
from models.schema.specs import FlowPath

BATCH = 64
IMAGES = 2000


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@data
@click.option(
    "--images",
    type=click.IntRange(FEWEST),
    default=IMAGES,
    show_default=True,
    help="Most images of the density and of the calibration part, each.",
)
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--steps", default=FlowPath().steps, show_default=True, callback=of_spec(FlowPath))
@click.option("--fresh", default=FlowPath().fresh, show_default=True, callback=of_spec(FlowPath))
@click.option("--probes", default=FlowPath().probes, show_default=True, callback=of_spec(FlowPath))
@device
@threads
@as_json
@one_line_errors
def calibrate(
    folder: Path,
    data: str | None,
    images: int,
    seed: int,
    steps: int,
    fresh: int,
    probes: int,
    device: torch.device,
    as_json: bool,
) -> None:
    """Fit the anomaly verdicts of the checkpoint in FOLDER and write calibration.json there.

    The density of normal statistics is fitted on the density part of the checkpoint's own split,
    p-values come from its calibration part; neither was trained on.
    """
    checkpoint = load_checkpoint(folder, device)
    recorded = RecordedData(checkpoint.manifest, data)
    spec = FlowPath(steps=steps, fresh=fresh, probes=probes)
    parts = [subset(recorded.images(part), images, seed) for part in ("density", "calibration")]
    if min(map(len, parts)) < FEWEST:
        raise DataError(f"{folder.name} has not {FEWEST} images of each part")
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
    emit(calibration.model_dump(mode="json"), text, as_json)
