"""Calibrations that fit a checkpoint and mean nothing."""

import numpy as np

from models.anomaly.calibration import Calibration
from models.anomaly.covariates import Regression
from models.anomaly.density import Component, Density
from models.anomaly.heat import Heat
from models.anomaly.level_calibration import LevelCalibration, Scale
from models.anomaly.packed import Packed
from models.anomaly.parts import Detector, statistic_names
from models.anomaly.perceptron import Perceptron
from models.anomaly.power import check_power
from models.anomaly.ranked import Preprocessing, Source
from models.anomaly.regions import Peaks
from models.anomaly.statistics import FITTED
from models.anomaly.subspace import Subspace
from models.anomaly.tails import Tails
from models.schema.config import ModelConfig
from models.schema.specs import FlowPath, Levels

NONE, ONE = (0.0,) * len(FITTED), (1.0,) * len(FITTED)
WHITE = tuple(tuple(float(i == j) for j in range(len(FITTED))) for i in range(len(FITTED)))
SOURCE = Source(images=40, failed=0, sha256="0" * 64)


def small_calibration(
    checkpoint: str, config: ModelConfig, solver: FlowPath | None = None, mean_nll: float = 10.0
) -> Calibration:
    """One Gaussian, by 40 scores; alpha from 1/41."""
    component = Component(log_weight=0.0, mean=NONE, whitening=WHITE)
    return Calibration(
        checkpoint=checkpoint,
        solver=solver or FlowPath(),
        seed=0,
        preprocessing=Preprocessing.of(config),
        density_images=SOURCE,
        calibration_images=SOURCE,
        mean_nll=mean_nll,
        density=Density(names=FITTED, mean=NONE, scale=ONE, components=(component,)),
        scores=tuple(map(float, range(40))),
        command="test",
    )


def small_levels(checkpoint: str, config: ModelConfig, levels: int = 3) -> LevelCalibration:
    """Verdicts by levels: the darker an image the stranger, and heat is the first level's eps.

    Peaks are from 1 in steps of 0.1.
    """
    height, width, channels = config.image_shape
    names = statistic_names(levels)
    seen = 13 + 2 * levels
    hidden = np.zeros((seen, 2))
    # The grey of a pixel is the fourth feature.
    hidden[3] = [-1.0, 0.0]
    heat = Heat(
        usual=Regression(
            centre=Packed.of(np.zeros(3)),
            scale=Packed.of(np.ones(3)),
            weights=Packed.of(np.zeros((10, levels + 1))),
        ),
        mean=Packed.of(np.zeros((levels + 1, height, width))),
        spread=Packed.of(np.ones((levels + 1, height, width))),
        weights=(1.0, *[0.0] * levels),
    )
    component = Component(
        log_weight=0.0,
        mean=(0.0,) * len(names),
        whitening=tuple(map(tuple, np.eye(len(names)).tolist())),
    )
    parts = np.linspace(-2, 2, 40)[:, None] * [1, 1]
    good, strange = np.linspace(0, 1, 40), np.linspace(0.5, 1.5, 40)
    return LevelCalibration(
        checkpoint=checkpoint,
        solver=Levels(levels=levels),
        seed=0,
        preprocessing=Preprocessing.of(config),
        density_images=SOURCE,
        calibration_images=SOURCE,
        detector=Detector(
            vocabulary=config.vocabulary,
            subspace=Subspace(
                mean=Packed.of(np.zeros(height * width * channels)),
                directions=Packed.of(np.zeros((0, height * width * channels))),
            ),
            perceptron=Perceptron(
                mean=Packed.of(np.zeros(seen)),
                scale=Packed.of(np.ones(seen)),
                hidden=Packed.of(hidden),
                hidden_bias=Packed.of(np.ones(2)),
                out=Packed.of(np.ones(2)),
                out_bias=0.0,
            ),
            heat=heat,
            density=Density(
                names=names,
                mean=(0.0,) * len(names),
                scale=(1.0,) * len(names),
                components=(component,),
            ),
        ),
        tails=Tails.of(parts, (1.0, 0.5)),
        scale=Scale(black=-1.0, white=1.0),
        peaks=Peaks.of((1 + np.arange(40) / 10).tolist()),
        power=check_power(good, strange, ["blob"] * 40, {"defect": (good, strange)}, 0),
        scores=tuple(map(float, range(40))),
        command="test",
    )
