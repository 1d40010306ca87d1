"""The evaluation of a checkpoint's verdicts on normal and on abnormal images."""

import sys
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from pydantic import Field
from tqdm import tqdm

from models.anomaly.conformal import FAILED
from models.anomaly.kept import AnyCalibration
from models.anomaly.ranked import Verdict
from models.anomaly.rows import calls, read
from models.evaluation.anomalies.changed_pixels import FoundPixels
from models.evaluation.anomalies.roc import Scores, Separation, separation
from models.evaluation.defaults import ALPHA
from models.evaluation.measurement import EvaluationRecord, Measurement
from models.files.images import Tokens
from models.rows.denoiser import Denoiser
from models.schema.specs import VerdictSpec

SCORE = "score"
# Logarithms of likelihoods: a lower value is stranger.
LOWER_IS_STRANGER = ("log_px_given_z", "log_prior", "log_det", "latent_mass")


class Judged(EvaluationRecord):
    """The verdicts on one set of images. `flagged` is the share whose p-value is at most alpha."""

    name: str
    images: int
    failed: int
    flagged: Measurement


class Abnormal(Judged):
    """The verdicts on a set of abnormal images, and how well each statistic separates it from the
    normal."""

    separations: dict[str, Separation] = Field(
        description="ROC figures by name; `score` is the combination of all statistics."
    )


class AnomalyEvaluation(EvaluationRecord):
    """The verdicts of one checkpoint on normal and on abnormal images."""

    checkpoint: str
    solver: VerdictSpec
    seed: int
    alpha: float
    normal: Judged = Field(
        description="The normal images; their `flagged` is the false-alarm rate."
    )
    abnormal: tuple[Abnormal, ...]
    changed_pixels: FoundPixels | None = Field(
        None, description="Heatmaps of normal images with one changed pixel, where asked for."
    )


def judge_sets(
    denoiser: Denoiser,
    calibration: AnyCalibration,
    sets: Mapping[str, Tokens],
    device: torch.device | str = "cpu",
) -> dict[str, list[Verdict]]:
    """Judge each set of images `[N, H, W, C]` with the calibration's own settings."""
    spec = calibration.solver
    total = sum(calls(len(images), spec) for images in sets.values())
    verdicts = {}
    with tqdm(total=total, desc="reading", file=sys.stderr) as bar:
        for name, images in sets.items():
            found = read(denoiser, images, spec, calibration.seed, device, on_call=bar.update)
            verdicts[name] = calibration.judge(found, images)
    return verdicts


def evaluate_anomalies(
    calibration: AnyCalibration,
    normal: tuple[str, Sequence[Verdict]],
    abnormal: Mapping[str, Sequence[Verdict]],
    alpha: float = ALPHA,
    seed: int = 0,
) -> AnomalyEvaluation:
    """Compute the figures from verdicts, with bootstrap intervals by `seed`."""
    usual = strangeness(normal[1], calibration.reported)
    found = []
    for name, verdicts in abnormal.items():
        strange = strangeness(verdicts, calibration.reported)
        separations = {
            statistic: separation(usual[statistic], strange[statistic], seed) for statistic in usual
        }
        found.append(Abnormal(**dict(_judged(name, verdicts, alpha)), separations=separations))
    return AnomalyEvaluation(
        checkpoint=calibration.checkpoint,
        solver=calibration.solver,
        seed=seed,
        alpha=alpha,
        normal=_judged(*normal, alpha),
        abnormal=tuple(found),
    )


def strangeness(verdicts: Sequence[Verdict], names: Sequence[str]) -> dict[str, Scores]:
    """Return the score and the statistics of these `names`, `[N]` each, higher for stranger images.

    An image that failed is stranger than any other.
    """
    columns = {SCORE: [FAILED if verdict.score is None else verdict.score for verdict in verdicts]}
    for name in names:
        sign = -1 if name in LOWER_IS_STRANGER else 1
        columns[name] = [
            FAILED if verdict.statistics is None else sign * verdict.statistics[name]
            for verdict in verdicts
        ]
    return {name: np.array(column) for name, column in columns.items()}


def _judged(name: str, verdicts: Sequence[Verdict], alpha: float) -> Judged:
    flagged = torch.tensor([verdict.p_value <= alpha for verdict in verdicts])
    failed = sum(verdict.reason is not None for verdict in verdicts)
    return Judged(name=name, images=len(verdicts), failed=failed, flagged=Measurement.of(flagged))
