"""`mulan models tune-steps`: few steps learned for a checkpoint that is tuned."""

from pathlib import Path

import torch

from models.checkpoints.checkpoint import load_checkpoint, save_manifest
from models.cli.actions.tune import BATCH
from models.cli.lazy import Outcome
from models.evaluation.card.text import CURVES
from models.evaluation.recorded_data import RecordedData, subset
from models.evaluation.samples.drawing import Drawings
from models.evaluation.samples.plots import sweep_curves
from models.evaluation.samples.recognition import classifier_of
from models.evaluation.samples.sweep import REFERENCE, Judge, Row, Sweep, Tuning, sweep
from models.runtimes.warmup import warm_up
from models.schema.errors import DataError
from models.schema.specs import Dpm2m, Dpm2mSde
from models.tuning.learned import Lessons
from models.tuning.tune import winners


def tune_steps(
    folder: Path,
    data: str | None,
    test_data: str | None,
    steps: int,
    rounds: int,
    batch: int,
    seed: int,
    keep: Path | None,
    device: torch.device,
) -> Outcome:
    """Learn `steps` steps for the checkpoint in `folder` and write them there.

    Raises DataError for a checkpoint that was not tuned.
    """
    checkpoint = load_checkpoint(folder, device)
    manifest = checkpoint.manifest
    if not manifest.tuning:
        raise DataError(f"{folder}: not tuned yet; run `mulan models tune` before")
    tuning = Tuning.model_validate(manifest.tuning)
    recorded = RecordedData(manifest, data, test_data)
    start = _start(tuning.sweep, steps)
    judge = Judge.of(classifier_of(recorded), subset(recorded.images("train"), REFERENCE))
    # The pilot's images and those of the measurement have other seeds.
    lessons = Lessons(checkpoint.model, judge, rounds, batch, tuning.sweep.seed + 1 + seed)
    spec = lessons.learn(start)
    denoiser = warm_up(checkpoint.model, BATCH)
    drawings = Drawings(denoiser, manifest.sha256, device, keep)
    images = tuning.sweep.rows[0].images
    measured = sweep(drawings, recorded, [start, spec], images, tuning.sweep.seed)
    before, row = measured.rows
    found = tuning.sweep.with_row(row)
    if found is not tuning.sweep:
        command = f"mulan models tune-steps {folder.name} --steps {steps} --rounds {rounds}"
        command += f" --batch {batch} --seed {seed}"
        update = {"sweep": found, "learned": [*tuning.learned, command]}
        presets = {name: spec.model_dump() for name, spec in winners(found).items()}
        record = tuning.model_copy(update=update).model_dump(mode="json")
        sweep_curves(found, folder / CURVES)
        save_manifest(folder, manifest.model_copy(update={"presets": presets, "tuning": record}))
    rows = {"start": before, "learned": row}
    return Outcome(
        {name: row.model_dump(mode="json") for name, row in rows.items()},
        "\n".join(f"{name}: {_told(row)}" for name, row in rows.items()),
    )


def _start(found: Sweep, steps: int) -> Dpm2m | Dpm2mSde:
    """Return `steps` steps with the grid of the nearest two-step rule of at most as many
    evaluations whose grid is no list of points."""
    rows = [row for row in found.of("dpm-2m", "dpm-2m-sde", most=steps) if not row.solver.points]
    if not rows:
        return Dpm2m(steps=steps)
    spec = min(rows, key=lambda row: row.kernel.value).solver
    assert isinstance(spec, Dpm2m | Dpm2mSde)
    return spec.with_pieces(steps)


def _told(row: Row) -> str:
    return f"kernel distance {row.kernel} by {row.solver.model_dump_json()}"
