"""A calibration that fits a checkpoint and means nothing."""

from models.anomaly.calibration import Calibration
from models.anomaly.density import Component, Density
from models.anomaly.ranked import Preprocessing, Source
from models.anomaly.statistics import FITTED
from models.schema.config import ModelConfig
from models.schema.specs import FlowPath

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
