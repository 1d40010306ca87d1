"""`mulan models evaluate defects`: verdicts on photographs of defects, beside baselines."""

import sys
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from models.anomaly.conformal import FAILED
from models.anomaly.kept import AnyCalibration, read_calibration
from models.anomaly.level_calibration import LevelCalibration
from models.anomaly.pictures import Aggregate
from models.anomaly.ranked import CALIBRATION
from models.anomaly.rows import calls, read
from models.checkpoints.checkpoint import load_checkpoint
from models.cli.actions.calibration_pictures import load_folder
from models.cli.lazy import Outcome
from models.evaluation.anomalies.baselines import LEVELS, Judged, learn_baselines
from models.evaluation.anomalies.bootstrap import Resamples
from models.evaluation.anomalies.calibrating import PictureSets
from models.evaluation.anomalies.collection import collect
from models.evaluation.anomalies.detectors import measure
from models.evaluation.anomalies.inspection import (
    VERDICTS,
    Inspection,
    by_aggregates,
    inspection_table,
)
from models.evaluation.anomalies.learned import learned
from models.evaluation.recorded_pictures import recorded_pictures
from models.files.images import Tokens
from models.preprocessing.loading import joint_digest
from models.preprocessing.record import read_record
from models.preprocessing.tiles import cut_all
from models.rows.denoiser import Denoiser
from models.runtimes.warmup import warm_up
from models.schema.errors import CheckpointError, DataError
from models.schema.manifest import Manifest, read_manifest
from models.training.recipe import read_recipe

BATCH = 64
# The scores of baselines are no log-odds, so that their largest counts.
LARGEST: Aggregate = "max"
# Heatmaps of failed tiles are as hot as this.
COLD = 0.0


def defects(
    folder: Path,
    defects: Path,
    masks: Path | None,
    normal: Path | None,
    data: str | None,
    divisions: int,
    seed: int,
    device: torch.device,
) -> Outcome:
    """Judge good and defective photographs by the calibration and by each baseline."""
    manifest = read_manifest(folder)
    calibration = read_calibration(folder, manifest)
    if calibration is None:
        raise CheckpointError(f"{folder}: no {CALIBRATION}; see mulan models calibrate")
    sets, trained = _pictures(folder, manifest, calibration, defects, normal, data)
    rule, own = manifest.preprocessing, calibration.pictures
    assert rule is not None
    assert own is not None
    collection = collect(sets.held_out, sets.defects, rule, masks)
    reference, tiling = cut_all([one.picture for one in sets.calibration], rule)
    denoiser = warm_up(load_checkpoint(folder, device).model, BATCH)
    tiles = np.concatenate([reference, collection.tiles])
    judged = _judge(denoiser, calibration, tiles, device)
    ranked, verdicts = (
        Judged(judged.scores[part], None if judged.maps is None else judged.maps[part])
        for part in (slice(len(reference)), slice(len(reference), None))
    )
    baselines = learn_baselines(_grey_levels(trained, rule.levels), seed)
    seen = _grey_levels(collection.tiles, rule.levels)
    resamples = Resamples(collection.good, len(sets.defects), seed)
    measured = {VERDICTS: measure(collection, verdicts, own.aggregate, resamples)}
    for name, detector in tqdm(baselines.items(), desc="baselines", file=sys.stderr):
        measured[name] = measure(collection, detector(seen), LARGEST, resamples)
    aggregates = by_aggregates(
        (ranked.scores, tiling),
        (verdicts.scores, collection),
        own.aggregate,
        divisions,
        resamples,
        seed,
    )
    weighed = learned(verdicts.scores, collection.tiling, collection.good, seed)
    found = Inspection(
        checkpoint=manifest.sha256,
        evaluations=calibration.solver.evaluations,
        aggregate=own.aggregate,
        tiles=len(collection.tiles),
        aggregates=aggregates,
        learned=resamples.auroc(weighed) if len(aggregates) > 1 else None,
        found=measured,
        power=calibration.power if isinstance(calibration, LevelCalibration) else None,
    )
    text = "\n".join([inspection_table(found), *(f"note: {note}" for note in sets.notes)])
    return Outcome(found.model_dump(mode="json"), text)


def _pictures(
    folder: Path,
    manifest: Manifest,
    calibration: AnyCalibration,
    defects: Path,
    normal: Path | None,
    data: str | None,
) -> tuple[PictureSets, Tokens]:
    """Return the photographs to rank among and to judge, and the tiles of those that were learned
    from. Raises DataError."""
    rule, own = manifest.preprocessing, calibration.pictures
    if rule is None or own is None:
        raise DataError(f"{manifest.name} takes no photographs; this command is for those that do")
    parts = recorded_pictures(manifest, data or read_recipe(str(folder)).data.source)
    density = parts.get("density", [])[: own.density_pictures]
    ranked = parts.get("calibration", [])[: own.pictures]
    found = [joint_digest(one.digest for one in some) for some in (density, ranked)]
    if found != [own.density_sha256, own.sha256]:
        raise DataError(
            f"{folder}: its calibration is not on pictures of its own split; calibrate it without "
            "--normal"
        )
    notes: list[str] = []
    good = parts.get("test") if normal is None else load_folder(normal, rule, notes)
    if not good:
        raise DataError(f"{folder} has no test part (see new --test); give --normal")
    bad = load_folder(defects, rule, notes)
    sets = PictureSets(density, ranked, good, bad, notes=notes)
    sets.check_apart(read_record(folder), rule)
    learned = [*parts["train"], *density]
    return sets, cut_all([one.picture for one in learned], rule)[0]


def _judge(
    denoiser: Denoiser, calibration: AnyCalibration, tiles: Tokens, device: torch.device
) -> Judged:
    """Judge every tile, and draw its heat."""
    spec = calibration.solver
    with tqdm(total=calls(len(tiles), spec), desc="reading", file=sys.stderr) as bar:
        readings = read(denoiser, tiles, spec, calibration.seed, device, on_call=bar.update)
    verdicts = calibration.judge(readings, tiles)
    scores = [FAILED if one.score is None else one.score for one in verdicts]
    drawn = [calibration.heatmap(*pair) for pair in zip(readings, tiles, strict=True)]
    cold = np.full(tiles.shape[1:3], COLD)
    maps = np.stack([cold if one is None else one.values for one in drawn])
    return Judged(np.array(scores), maps)


def _grey_levels(tiles: Tokens, vocabulary: int) -> Tokens:
    """Return tiles with tokens of `vocabulary` as levels of the baselines."""
    levels: Tokens = np.rint(tiles * ((LEVELS - 1) / (vocabulary - 1))).astype(np.uint8)
    return levels
