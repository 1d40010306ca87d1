"""The statistics of a verdict in the scale of the images that a calibration was fitted on."""

import numpy as np
import pytest
from small_calibration import small_calibration, small_levels

from models.anomaly.conformal import FAILED
from models.anomaly.parts import LATENT_MASS
from models.anomaly.ranked import Source
from models.anomaly.readings import Reading
from models.anomaly.statistics import FITTED, TYPICALITY
from models.schema.mulan import MulanConfig

CHECKPOINT = "0" * 64
CONFIG = MulanConfig(image_shape=(8, 8, 1), width=8, depth=1, groups=4, latent_size=6, latent_k=2)


def test_by_the_path_sizes_are_logarithms() -> None:
    calibration = small_calibration(CHECKPOINT, CONFIG)
    width = len(FITTED)
    update = {"mean": (1.0,) * width, "scale": (2.0,) * width}
    density = calibration.density.model_copy(update=update)
    calibration = calibration.model_copy(update={"density": density})
    found = dict.fromkeys(FITTED, np.e) | {TYPICALITY: 3.0}
    values = calibration.standardise(found)
    assert tuple(values) == calibration.standardised_names == FITTED
    assert values["log_prior"] == pytest.approx((np.e - 1) / 2)
    assert values["spectrum_1"] == pytest.approx(0)


def test_by_levels_parts_are_surprises() -> None:
    calibration = small_levels(CHECKPOINT, CONFIG)
    levels = np.full((3, 8, 8, 1), 0.5, np.float16)
    readings = [Reading(3, {LATENT_MASS: -1.0}, levels=levels)]
    (verdict,) = calibration.judge(readings, np.zeros((1, 8, 8, 1), np.uint8))
    assert verdict.statistics is not None
    values = calibration.standardise(verdict.statistics)
    assert tuple(values) == calibration.standardised_names
    assert set(verdict.statistics) - set(values) == {LATENT_MASS}
    assert values["level_1"] == pytest.approx(verdict.statistics["level_1"])
    (surprises,) = calibration.tails.surprise(
        np.array([[verdict.statistics["defect"], verdict.statistics["rarity"]]])
    ).tolist()
    assert [values["defect"], values["rarity"]] == pytest.approx([one - 1 for one in surprises])


def test_scores_that_failed_come_last_as_in_verdicts() -> None:
    calibration = small_calibration(CHECKPOINT, CONFIG)
    source = Source(images=42, failed=2, sha256="0" * 64)
    failed = calibration.model_copy(update={"calibration_images": source})
    assert failed.ranked_scores == [*map(float, range(40)), FAILED, FAILED]
