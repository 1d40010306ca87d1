"""Calibration on whole pictures keeps the largest stitched heat of each picture."""

import numpy as np
import pytest
import torch

from models.anomaly.kept import read_calibration, save_calibration
from models.anomaly.level_calibration import LevelCalibration
from models.anomaly.picture_heat import picture_heat, picture_peaks
from models.anomaly.rows import read
from models.evaluation.analytic import Mixture
from models.evaluation.anomalies.calibrating import PictureSets, Settings, calibrate_on_pictures
from models.preprocessing.loading import LoadedPicture
from models.preprocessing.tiles import Picture, cut, cut_all
from models.schema.manifest import Manifest
from models.schema.mulan import MulanConfig
from models.schema.preprocessing import PictureRule, Size
from models.schema.specs import Levels

SIDE, VOCABULARY = 8, 64
CONFIG = MulanConfig(
    image_shape=(SIDE, SIDE, 1), vocabulary=VOCABULARY, latent_size=4, latent_k=1, gamma_min=-8.0
)
# Photographs of 8 by 12 are seen as two tiles that overlap by half.
RULE = PictureRule.model_validate(
    {
        "mode": "grey",
        "size": {"rule": "scale", "factor": 1},
        "tile": (SIDE, SIDE),
        "stride": (SIDE, SIDE // 2),
        "levels": VOCABULARY,
    }
)
MANIFEST = Manifest(name="noise", config=CONFIG, sha256="a" * 64, parameters=1, preprocessing=RULE)
SIZE = Size(8, 12)
SPREAD = 0.1
DENOISER = Mixture(
    CONFIG,
    torch.ones(1),
    torch.zeros(1, SIDE * SIDE, dtype=torch.float64),
    torch.full((1, SIDE * SIDE), SPREAD**2, dtype=torch.float64),
)


def picture(seed: int) -> Picture:
    x = SPREAD * np.random.default_rng(seed).standard_normal((*SIZE, 1))
    tokens = np.floor((x + 1) / 2 * VOCABULARY).clip(0, VOCABULARY - 1).astype(np.uint8)
    return Picture(SIZE, tokens)


def loaded(seeds: range) -> list[LoadedPicture]:
    return [LoadedPicture(f"{seed}.png", f"{seed:064x}", picture(seed)) for seed in seeds]


GOOD = loaded(range(100, 140))


@pytest.fixture(scope="module")
def calibration() -> LevelCalibration:
    sets = PictureSets(density=loaded(range(40)), calibration=GOOD)
    settings = Settings(Levels(levels=3), 0, "max", "test", torch.device("cpu"))
    found = calibrate_on_pictures(MANIFEST, DENOISER, sets, settings).calibration
    assert isinstance(found, LevelCalibration)
    return found


def test_peaks_are_of_pictures_after_stitching(
    calibration: LevelCalibration, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tiles, tiling = cut_all([one.picture for one in GOOD], RULE)
    readings = read(DENOISER, tiles, calibration.solver, 0)
    expected = picture_peaks(calibration, readings, tiles, tiling)
    assert calibration.peaks is not None
    assert calibration.calibration_images.images == 80
    assert (calibration.peaks.failed, len(calibration.peaks.values)) == (0, 40)
    np.testing.assert_allclose(calibration.peaks.values, sorted(expected))
    folder = tmp_path_factory.mktemp("kept")
    save_calibration(folder, calibration)
    assert read_calibration(folder, MANIFEST) == calibration


def test_a_defect_on_a_photograph_has_the_strangest_region(calibration: LevelCalibration) -> None:
    damaged = picture(999).tokens.copy()
    # It lies across both tiles.
    damaged[3:6, 5:8] = VOCABULARY - 1
    tiles = cut(damaged, RULE)
    readings = read(DENOISER, tiles, calibration.solver, 0)
    heat = picture_heat(calibration, readings, tiles, RULE, SIZE)
    assert heat is not None
    assert heat.values.shape == SIZE
    (box, p_value), *_ = calibration.regions(heat) or ()
    assert p_value == 1 / 41
    assert box.x <= 5 < 8 <= box.x + box.width
    assert box.y <= 3 < 6 <= box.y + box.height
