"""`mulan models evaluate defects`: verdicts on pictures of defects, beside baselines."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from models.anomaly.conformal import FAILED
from models.anomaly.kept import AnyCalibration, read_calibration
from models.anomaly.level_calibration import LevelCalibration
from models.anomaly.ranked import CALIBRATION, Verdict
from models.anomaly.rows import calls, read
from models.checkpoints.checkpoint import load_checkpoint
from models.cli.lazy import Outcome
from models.evaluation.anomalies.baselines import Judged, learn_baselines
from models.evaluation.anomalies.cut import read_collection
from models.evaluation.anomalies.inspection import (
    VERDICTS,
    Inspection,
    compare,
    inspection_table,
    measure,
)
from models.evaluation.measurement import Measurement
from models.files.images import Tokens, load_images
from models.files.shelf import find
from models.rows.denoiser import Denoiser
from models.runtimes.warmup import warm_up
from models.schema.errors import CheckpointError

BATCH = 64
# Heatmaps of failed tiles are drawn as hot as this.
COLD = 0.0


def defects(
    name: str,
    root: Path,
    pictures: Path,
    learn: str,
    shrink: int,
    alpha: float,
    seed: int,
    device: torch.device,
) -> Outcome:
    """Judge the pictures' tiles by the calibration and by each baseline, and compare them."""
    folder, manifest = find(name, root)
    calibration = read_calibration(folder, manifest)
    if calibration is None:
        raise CheckpointError(f"{folder}: no {CALIBRATION}; see mulan models calibrate")
    collection = read_collection(pictures, manifest.config, shrink)
    baselines = learn_baselines(load_images(learn, manifest.config), seed)
    denoiser = warm_up(load_checkpoint(folder, device).model, BATCH)
    cuts = [*collection.good, *collection.defective]
    tiles = np.concatenate([cut.tiles for cut in cuts])
    verdicts, judged = _judge(denoiser, calibration, tiles, device)
    ends = np.cumsum([len(cut.tiles) for cut in cuts])[:-1]
    scores, maps = np.split(judged.scores, ends), np.split(_maps(judged), ends)
    own = [Judged(*pair) for pair in zip(scores, maps, strict=True)]
    good = verdicts[: sum(len(cut.tiles) for cut in collection.good)]
    found = Inspection(
        checkpoint=manifest.sha256,
        evaluations=calibration.solver.evaluations,
        good=len(collection.good),
        defective=len(collection.defective),
        tiles=len(tiles),
        alpha=alpha,
        false_alarms=Measurement.of(torch.tensor([one.p_value <= alpha for one in good])),
        found={
            VERDICTS: measure(collection, own, seed),
            **compare(collection, dict(baselines), seed),
        },
        power=calibration.power if isinstance(calibration, LevelCalibration) else None,
    )
    return Outcome(found.model_dump(mode="json"), inspection_table(found))


def _judge(
    denoiser: Denoiser, calibration: AnyCalibration, tiles: Tokens, device: torch.device
) -> tuple[Sequence[Verdict], Judged]:
    """Judge every tile, and draw its heat."""
    spec = calibration.solver
    with tqdm(total=calls(len(tiles), spec), desc="reading", file=sys.stderr) as bar:
        readings = read(denoiser, tiles, spec, calibration.seed, device, on_call=bar.update)
    verdicts = calibration.judge(readings, tiles)
    scores = [FAILED if one.score is None else one.score for one in verdicts]
    drawn = [calibration.heatmap(*pair) for pair in zip(readings, tiles, strict=True)]
    cold = np.full(tiles.shape[1:3], COLD)
    maps = np.stack([cold if one is None else one.values for one in drawn])
    return verdicts, Judged(np.array(scores), maps)


def _maps(judged: Judged) -> np.ndarray:
    assert judged.maps is not None
    return judged.maps
