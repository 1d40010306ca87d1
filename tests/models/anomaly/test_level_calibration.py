"""Verdicts by levels from end to end, on images of a known law and its exact denoiser."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.anomaly.defects import make_defects
from models.anomaly.kept import read_calibration, save_calibration
from models.anomaly.level_calibration import LevelCalibration
from models.anomaly.level_fitting import fit_levels
from models.anomaly.ranked import CALIBRATION
from models.anomaly.readings import Reading
from models.anomaly.regions import Region
from models.anomaly.rows import calls, read
from models.evaluation.analytic import Mixture
from models.files.images import Tokens
from models.schema.errors import CheckpointError, DataError
from models.schema.manifest import Manifest
from models.schema.mulan import MulanConfig
from models.schema.specs import Levels

SIDE, VOCABULARY = 8, 64
CONFIG = MulanConfig(
    image_shape=(SIDE, SIDE, 1), vocabulary=VOCABULARY, latent_size=4, latent_k=1, gamma_min=-8.0
)
MANIFEST = Manifest(name="ramps", config=CONFIG, sha256="a" * 64, parameters=1)
SPREAD = 0.08
RAMP = np.linspace(-0.5, 0.5, SIDE)
MEANS = np.stack([np.tile(RAMP, (SIDE, 1)), np.tile(RAMP[:, None], (1, SIDE))])
DENOISER = Mixture(
    CONFIG,
    torch.ones(2),
    torch.from_numpy(MEANS.reshape(2, -1)),
    torch.full((2, SIDE * SIDE), SPREAD**2),
)
SPEC = Levels(levels=4)


def images(count: int, seed: int) -> Tokens:
    """Ramps to the right or downwards, with white noise: what the denoiser knows."""
    dice = np.random.default_rng(seed)
    x = MEANS[dice.integers(0, 2, count)] + SPREAD * dice.standard_normal((count, SIDE, SIDE))
    tokens = np.floor((x + 1) / 2 * VOCABULARY).clip(0, VOCABULARY - 1).astype(np.uint8)
    return tokens[..., None]


def readings(given: Tokens) -> list[Reading]:
    return read(DENOISER, given, SPEC, seed=0)


def fitted(fail: int = 0) -> LevelCalibration:
    density, own = images(240, 1), images(200, 2)
    failures = [Reading(4, reason="too wild")] * fail
    own_readings = failures + readings(own)[fail:]
    return fit_levels(
        MANIFEST, SPEC, 5, (readings(density), density), (own_readings, own), readings, "test"
    )


@pytest.fixture(scope="module")
def calibration() -> LevelCalibration:
    return fitted()


NEW = images(300, 3)
BROKEN = make_defects(images(100, 4), 120, VOCABULARY, seed=9)


def p_values(calibration: LevelCalibration, given: Tokens) -> np.ndarray:
    return np.array([one.p_value for one in calibration.judge(readings(given), given)])


def test_good_images_are_flagged_as_often_as_promised(calibration: LevelCalibration) -> None:
    values = p_values(calibration, NEW)
    for alpha in (0.05, 0.2, 0.5):
        # Binomial over 300 new images, and over the 200 of the calibration.
        error = np.sqrt(alpha * (1 - alpha) * (1 / 300 + 1 / 200))
        assert np.mean(values <= alpha) == pytest.approx(alpha, abs=3 * error)


def test_defects_are_flagged_and_the_power_check_says_so(calibration: LevelCalibration) -> None:
    found = np.mean(p_values(calibration, BROKEN.images) <= 0.05)
    assert found > 0.5
    assert calibration.power.all.flagged == pytest.approx(found, abs=0.15)
    assert not calibration.power.blind
    assert set(calibration.power.parts) == {"defect", "rarity"}
    assert calibration.power.all.auroc > max(calibration.power.parts.values()) - 0.03


def test_images_of_another_kind_are_flagged(calibration: LevelCalibration) -> None:
    assert (p_values(calibration, VOCABULARY - 1 - NEW[:20]) <= 0.05).all()
    assert (p_values(calibration, NEW[:20, ::-1, ::-1].copy()) <= 0.05).all()


def test_a_good_image_stays_dark_and_a_defect_shines(calibration: LevelCalibration) -> None:
    def shown(given: Tokens) -> np.ndarray:
        maps = [calibration.heatmap(*pair) for pair in zip(readings(given), given, strict=True)]
        return np.stack(
            [np.asarray(Image.open(io.BytesIO(one.png()))) for one in maps if one is not None]
        )

    good, broken = shown(NEW[:100]), shown(BROKEN.images)
    assert good.shape == (100, SIDE, SIDE)
    assert np.mean(good == 255) < 0.01
    assert np.mean(good == 0) == pytest.approx(0.5, abs=0.05)
    noisy = np.array(BROKEN.kinds) == "missing"
    inside, outside = broken[noisy][BROKEN.masks[noisy]], broken[noisy][~BROKEN.masks[noisy]]
    assert inside.mean() > outside.mean() + 50
    values = calibration.heatmap(readings(NEW[:1])[0], NEW[0])
    assert values is not None
    stored = np.load(io.BytesIO(values.npy()))
    assert (stored.dtype, stored.shape) == (np.float32, (SIDE, SIDE))


def regions(calibration: LevelCalibration, given: Tokens) -> list[list[tuple[Region, float]]]:
    found = []
    for pair in zip(readings(given), given, strict=True):
        heat = calibration.heatmap(*pair)
        assert heat is not None
        boxes = calibration.regions(heat)
        assert boxes is not None
        found.append(boxes)
    return found


def test_of_good_images_at_most_alpha_have_a_strange_region(calibration: LevelCalibration) -> None:
    assert calibration.peaks is not None
    lowest = np.array([min((p for _, p in one), default=1.0) for one in regions(calibration, NEW)])
    maps = [calibration.heatmap(*pair) for pair in zip(readings(NEW), NEW, strict=True)]
    peaks = [Region(0, 0, 1, 1, 1, float(one.values.max())) for one in maps if one is not None]
    ranks = np.array(calibration.peaks.p_values(peaks))
    # A region of so few pixels that it is left out does not count.
    assert (lowest >= ranks).all()
    for alpha in (0.02, 0.05, 0.1):
        error = np.sqrt(alpha * (1 - alpha) * (1 / 300 + 1 / 200))
        assert np.mean(ranks <= alpha) == pytest.approx(alpha, abs=3 * error)


def test_the_strangest_region_lies_on_the_defect(calibration: LevelCalibration) -> None:
    missing = np.flatnonzero(np.array(BROKEN.kinds) == "missing")
    found = regions(calibration, BROKEN.images[missing])
    assert np.mean([bool(one) and one[0][1] <= 0.05 for one in found]) > 0.5
    met = [
        BROKEN.masks[place, box.y : box.y + box.height, box.x : box.x + box.width].any()
        for place, one in zip(missing, found, strict=True)
        for box, p_value in one[:1]
        if p_value <= 0.05
    ]
    assert np.mean(met) > 0.9


def test_a_calibration_from_before_regions_is_read_and_has_none(
    calibration: LevelCalibration, tmp_path: Path
) -> None:
    document = calibration.model_dump(mode="json")
    del document["peaks"]
    (tmp_path / CALIBRATION).write_text(json.dumps(document))
    kept = read_calibration(tmp_path, MANIFEST)
    assert isinstance(kept, LevelCalibration)
    assert kept.judge(readings(NEW[:3]), NEW[:3]) == calibration.judge(readings(NEW[:3]), NEW[:3])
    heat = kept.heatmap(readings(NEW[:1])[0], NEW[0])
    assert heat is not None
    assert kept.regions(heat) is None
    assert "peaks" not in kept.model_dump()


def test_a_verdict_depends_on_nothing_beside_its_image(calibration: LevelCalibration) -> None:
    some = np.concatenate([NEW[:3], BROKEN.images[:2]])
    found = readings(some)
    together = calibration.judge(found, some)
    assert together[3] == calibration.judge(found[3:4], some[3:4])[0]
    assert together == calibration.judge(found, some)
    assert set(together[0].statistics or ()) == set(calibration.reported)


def test_a_failed_image_is_stranger_than_every_other() -> None:
    calibration = fitted(fail=7)
    assert (calibration.calibration_images.failed, len(calibration.scores)) == (7, 193)
    verdict = calibration.judge([Reading(4, reason="too wild")], NEW[:1])[0]
    assert (verdict.score, verdict.p_value, verdict.reason) == (None, 8 / 201, "too wild")
    assert calibration.heatmap(Reading(4, reason="too wild"), NEW[0]) is None
    assert calibration.peaks is not None
    assert (calibration.peaks.failed, len(calibration.peaks.values)) == (7, 193)


def test_it_is_kept_and_gives_the_same_verdicts(
    calibration: LevelCalibration, tmp_path: Path
) -> None:
    save_calibration(tmp_path, calibration)
    kept = read_calibration(tmp_path, MANIFEST)
    assert isinstance(kept, LevelCalibration)
    assert kept.judge(readings(NEW[:3]), NEW[:3]) == calibration.judge(readings(NEW[:3]), NEW[:3])
    assert (tmp_path / CALIBRATION).stat().st_size < 200_000


def test_fitting_again_gives_the_same(calibration: LevelCalibration) -> None:
    assert fitted() == calibration


def test_the_calls_are_few() -> None:
    assert calls(1, SPEC) == SPEC.evaluations == 4
    assert SPEC.probes == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"solver": {"levels": 5}}, "other levels"),
        ({"detector": {"vocabulary": 17}}, "other levels or other images"),
        ({"solver": {"levels": 17}}, "levels"),
        ({"scale": {"white": None}}, "scale.white"),
        ({"peaks": {"values": [2, 1]}}, "peaks must be in ascending order"),
        ({"peaks": {"failed": 3}}, "one peak for each calibration image, or photograph"),
        ({"tails": {"excess": {"shape": [1], "data": "AACAPw=="}}}, "fit together"),
        ({"checkpoint": "b" * 64}, "belongs to the weights"),
    ],
)
def test_another_s_calibration_is_refused(
    calibration: LevelCalibration, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    document = calibration.model_dump(mode="json")
    for name, value in changes.items():
        document[name] = {**document[name], **value} if isinstance(value, dict) else value
    (tmp_path / CALIBRATION).write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match=words):
        read_calibration(tmp_path, MANIFEST)


def test_too_few_images_are_refused() -> None:
    few, many = images(19, 1), images(40, 2)
    parts = [(readings(part), part) for part in (few, many)]
    with pytest.raises(DataError, match="19 density images were solved; at least 20"):
        fit_levels(MANIFEST, SPEC, 0, parts[0], parts[1], readings, "")
    with pytest.raises(DataError, match="19 calibration images were solved; at least 20"):
        fit_levels(MANIFEST, SPEC, 0, parts[1], parts[0], readings, "")
