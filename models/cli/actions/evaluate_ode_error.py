"""`mulan models evaluate ode-error`: the factors in the estimate of the ODE's error."""

from pathlib import Path

import torch

from models.checkpoints.checkpoint import load_checkpoint, save_manifest
from models.cli.lazy import Outcome
from models.evaluation.ode.calibration import QUANTILE, calibrate_ode, calibration_table
from models.evaluation.recorded_data import RecordedData, subset
from models.runtimes.eager import eager_denoiser
from models.schema.manifest import DataPart
from models.schema.ode_error import OdeErrorRecord
from models.schema.specs import Adams

# Decimals of a step's length in the manifest.
STEP_DIGITS = 6


def ode_error(
    folder: Path,
    data: str | None,
    test_data: str | None,
    images: int,
    reference_steps: int,
    steps: int,
    seed: int,
    device: torch.device,
) -> Outcome:
    """Measure the factors on images of the checkpoint in `folder`, and write it there."""
    manifest, model = load_checkpoint(folder, device)
    divided = manifest.data is not None and "calibration" in manifest.data.split
    part: DataPart = "calibration" if divided else "test"
    chosen = subset(RecordedData(manifest, data, test_data).images(part), images, seed)
    tokens = torch.from_numpy(chosen).permute(0, 3, 1, 2).contiguous().to(device)
    # Without padding, because nobody compares these bytes.
    denoiser = eager_denoiser(model, quantum=1)
    found = calibrate_ode(manifest.name, denoiser, tokens, Adams(), reference_steps, seed, steps)
    options = f"--images {images} --reference-steps {reference_steps} --steps {steps} --seed {seed}"
    record = OdeErrorRecord(
        x_scale=found.scales.x,
        scale=found.scales.whole,
        steps=tuple(round(step, STEP_DIGITS) for step in found.scales.steps),
        images=len(chosen),
        quantile=QUANTILE,
        tolerance_nats=found.tolerance_nats,
        reference_steps=reference_steps,
        command=f"mulan models evaluate ode-error {folder.resolve().name} {options}",
    )
    save_manifest(folder, manifest.model_copy(update={"ode_error": record}))
    return Outcome(
        found.model_dump(mode="json") | {"kept": record.model_dump(mode="json")},
        calibration_table(found),
    )
