"""`mulan models evaluate anomalies`: verdicts on normal images, on others and on damaged ones."""

from collections.abc import Iterator
from pathlib import Path

import click
import torch

from models.anomaly.conformal import at_least
from models.anomaly.kept import AnyCalibration, read_calibration
from models.anomaly.ranked import CALIBRATION
from models.anomaly.rows import read
from models.checkpoints.checkpoint import load_checkpoint
from models.cli.evaluate_anomalies import EVERY, TEST
from models.cli.lazy import Outcome
from models.evaluation.anomalies.changed_pixels import FoundPixels, change_pixels, find_pixels
from models.evaluation.anomalies.corruptions import CORRUPTIONS, corrupt
from models.evaluation.anomalies.evaluate import evaluate_anomalies, judge_sets, strangeness
from models.evaluation.anomalies.plots import roc_curves, score_histograms
from models.evaluation.anomalies.text import anomaly_tables
from models.evaluation.recorded_data import RecordedData, subset
from models.files.images import Tokens, load_images
from models.files.shelf import find
from models.rows.denoiser import Denoiser
from models.runtimes.warmup import warm_up
from models.schema.errors import CheckpointError
from models.schema.manifest import Manifest

BATCH = 64


def anomalies(
    name: str,
    root: Path,
    normal: str,
    abnormal: tuple[str, ...],
    data: str | None,
    test_data: str | None,
    images: int,
    changed_pixels: int,
    alpha: float,
    seed: int,
    out: Path | None,
    device: torch.device,
) -> Outcome:
    """Judge the normal and the abnormal images, and compare their scores and statistics."""
    folder, manifest = find(name, root)
    calibration = read_calibration(folder, manifest)
    if calibration is None:
        raise CheckpointError(f"{folder}: no {CALIBRATION}; see mulan models calibrate")
    if alpha < calibration.smallest_alpha:
        least = at_least(calibration.smallest_alpha)
        raise click.UsageError(f"alpha is below 1/(m + 1) = {least}")
    if normal in abnormal:
        raise click.UsageError(f"{normal} cannot be normal and abnormal")
    recorded = RecordedData(manifest, data, test_data)
    usual = recorded.images("test") if normal == TEST else _load(normal, manifest)
    sets = {normal: subset(usual, images, seed)}
    sets |= dict(_abnormal(abnormal, sets[normal], manifest, images, seed))
    denoiser = warm_up(load_checkpoint(folder, device).model, BATCH)
    verdicts = judge_sets(denoiser, calibration, sets, device)
    strange = {one: verdicts[one] for one in sets if one != normal}
    found = evaluate_anomalies(calibration, (normal, verdicts[normal]), strange, alpha, seed)
    if changed_pixels:
        some = subset(sets[normal], changed_pixels, seed)
        pixels = _changed_pixels(denoiser, calibration, some, manifest, seed, device)
        found = found.model_copy(update={"changed_pixels": pixels})
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        names = calibration.reported
        scores = {one: strangeness(verdict, names) for one, verdict in verdicts.items()}
        own = scores.pop(normal)
        roc_curves(own, scores, out / "roc.png")
        score_histograms(own, scores, out / "scores.png")
    return Outcome(found.model_dump(mode="json"), anomaly_tables(found))


def _changed_pixels(
    denoiser: Denoiser,
    calibration: AnyCalibration,
    images: Tokens,
    manifest: Manifest,
    seed: int,
    device: torch.device,
) -> FoundPixels:
    """Change a pixel of each image, and look for it in the heatmaps."""
    changed = change_pixels(images, manifest.config.vocabulary, seed)
    readings = read(denoiser, changed.images, calibration.solver, calibration.seed, device)
    pairs = zip(readings, changed.images, strict=True)
    return find_pixels(changed, [calibration.heatmap(*pair) for pair in pairs])


def _abnormal(
    wanted: tuple[str, ...], normal: Tokens, manifest: Manifest, images: int, seed: int
) -> Iterator[tuple[str, Tokens]]:
    vocabulary = manifest.config.vocabulary
    for source in wanted:
        if source in CORRUPTIONS or source == EVERY:
            for damage in CORRUPTIONS if source == EVERY else (source,):
                yield damage, corrupt(damage, normal, vocabulary, seed)
        else:
            label, _, place = source.rpartition("=")
            yield label or source, subset(_load(place, manifest), images, seed)


def _load(source: str, manifest: Manifest) -> Tokens:
    return load_images(source, manifest.config)
