"""`mulan models evaluate samples`: every sampler over numbers of evaluations."""

from pathlib import Path

import torch

from models.checkpoints.checkpoint import load_checkpoint
from models.cli.lazy import Outcome
from models.evaluation.card.text import CURVES
from models.evaluation.recorded_data import RecordedData
from models.evaluation.samples.drawing import Drawings
from models.evaluation.samples.moves import moved, moves_report
from models.evaluation.samples.plots import side_by_side, sweep_curves
from models.evaluation.samples.sweep import Tuning, sweep, write_csv
from models.evaluation.samples.text import report
from models.files.shelf import find
from models.runtimes.choice import RuntimeName, Wish, choose
from models.runtimes.runtime import Precision
from models.schema.manifest import Manifest
from models.schema.specs import SamplerSpec
from models.tuning.shapes import untuned

BATCH = 64
# The runtime and the precision of cards.
USUAL = ("eager", "float32")


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
    runtime: RuntimeName,
    sample_dtype: Precision,
    device: torch.device,
) -> Outcome:
    """Measure how far each sampler's images are from the test images."""
    folder, _ = find(name, root)
    checkpoint = load_checkpoint(folder, device)
    drawer = choose(checkpoint, folder, BATCH, Wish(runtime, sample_dtype)).samples
    drawn_by = drawer.runtime.name, drawer.runtime.precision
    identity = " ".join([checkpoint.manifest.sha256, *(drawn_by if drawn_by != USUAL else ())])
    kept = Drawings(drawer, identity, device, keep)
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
    record, text = found.model_dump(mode="json"), report(found)
    if drawn_by != USUAL and checkpoint.manifest.tuning:
        card = Tuning.model_validate(checkpoint.manifest.tuning).sweep
        text = f"{text}\n\n{moves_report(found, card)}"
        record["moved"] = [row.solver.model_dump(mode="json") for row, _ in moved(found, card)]
    return Outcome(record, text)


def settings(manifest: Manifest) -> list[SamplerSpec]:
    """Return the settings of the checkpoint's tuning, or untuned ones: every sampler at every
    budget."""
    if not manifest.tuning:
        return untuned()
    return [row.solver for row in Tuning.model_validate(manifest.tuning).sweep.rows]
