"""The calibration: fitted, kept, refused, and what it makes of a reading."""

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.anomaly.calibration import Calibration
from models.anomaly.fitting import fit
from models.anomaly.heatmap import own_scale
from models.anomaly.kept import read_calibration, save_calibration
from models.anomaly.ranked import CALIBRATION
from models.anomaly.readings import Reading
from models.anomaly.statistics import FITTED, codec_fingerprint, table, with_codec
from models.files.images import Tokens
from models.schema.errors import CheckpointError, DataError
from models.schema.manifest import Manifest
from models.schema.mulan import MulanConfig
from models.schema.specs import FlowPath

CONFIG = MulanConfig(image_shape=(4, 5, 1), vocabulary=17)
MANIFEST = Manifest(name="small", config=CONFIG, sha256="a" * 64, parameters=1)
DICE = np.random.default_rng(0)


def picture(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))


def images(count: int) -> Tokens:
    return DICE.integers(0, 17, (count, 4, 5, 1), dtype=np.uint8)


def reading(shift: float = 0.0) -> Reading:
    """Of an image as normal as any, or of one that is odd by `shift` standard deviations."""
    told = FITTED[:-2]
    values = np.exp(0.1 * (DICE.standard_normal(len(told)) + shift))
    return Reading(
        39, dict(zip(told, values.tolist(), strict=True)), np.ones((4, 5, 1), np.float32)
    )


FAILURE = Reading(39, reason="too wild")


def fitted(count: int = 100, failed: int = 0) -> Calibration:
    parts = [
        ([reading() for _ in range(count - bad)] + [FAILURE] * bad, images(count))
        for bad in (0, failed)
    ]
    return fit(MANIFEST, FlowPath(), 0, parts[0], parts[1], "mulan models calibrate small")


def verdict_of(calibration: Calibration, one: Reading) -> Any:
    return calibration.judge([one], images(1))[0]


def test_exchangeable_images_are_flagged_as_often_as_they_should_be() -> None:
    calibration = fitted(400)
    verdicts = calibration.judge([reading() for _ in range(1000)], images(1000))
    values = np.array([verdict.p_value for verdict in verdicts])
    for alpha in (0.05, 0.2, 0.5):
        assert np.mean(values <= alpha) == pytest.approx(alpha, abs=0.06)


def test_odd_images_score_higher_and_are_flagged() -> None:
    calibration = fitted(400)
    mild, wild = (verdict_of(calibration, reading(shift)) for shift in (0.0, 8.0))
    assert wild.score > mild.score
    assert wild.p_value == calibration.smallest_alpha == 1 / 401
    assert set(wild.statistics) == {*FITTED, "typicality"}
    nll = -wild.statistics["log_px_given_z"]
    assert wild.statistics["typicality"] == pytest.approx(abs(nll - calibration.mean_nll))


def test_a_failed_image_scores_above_every_other_in_both_places() -> None:
    calibration = fitted(100, failed=7)
    assert (calibration.calibration_images.images, calibration.calibration_images.failed) == (
        100,
        7,
    )
    assert len(calibration.scores) == 93
    verdict = verdict_of(calibration, FAILURE)
    assert (verdict.score, verdict.statistics, verdict.reason) == (None, None, "too wild")
    assert verdict.p_value == 8 / 101
    assert verdict_of(calibration, reading(100.0)).p_value == 8 / 101


def test_a_score_past_every_number_is_a_failure() -> None:
    values = {**(reading().values or {}), "log_prior": 1e300}
    verdict = verdict_of(fitted(), Reading(39, values))
    assert (verdict.score, verdict.reason) == (None, "the score is not finite")
    assert verdict.p_value == 1 / 101


def test_the_same_readings_give_the_same_verdict_whatever_is_beside_them() -> None:
    calibration, odd, picture = fitted(), reading(2.0), images(3)
    alone = calibration.judge([odd], picture[1:2])[0]
    assert calibration.judge([reading(), odd, FAILURE], picture)[1] == alone


HOLLOW = {
    "log_weight": 0.0,
    "mean": [0.0] * len(FITTED),
    "whitening": [[0.0] * len(FITTED)] * len(FITTED),
}


@pytest.mark.parametrize("part", ["density", "calibration"])
def test_too_few_images_are_refused(part: str) -> None:
    few = [reading() for _ in range(19)] + [FAILURE] * 30, images(49)
    many = [reading() for _ in range(49)], images(49)
    parts = (few, many) if part == "density" else (many, few)
    with pytest.raises(DataError, match=f"19 {part} images were solved; at least 20"):
        fit(MANIFEST, FlowPath(), 0, *parts, "")


def test_it_is_kept_beside_the_manifest(tmp_path: Path) -> None:
    assert read_calibration(tmp_path, MANIFEST) is None
    calibration = fitted()
    save_calibration(tmp_path, calibration)
    assert read_calibration(tmp_path, MANIFEST) == calibration


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"checkpoint": "b" * 64}, "to the weights bbbbbbbbbbbb, not to aaaaaaaaaaaa"),
        (
            {"preprocessing": {"image_shape": [5, 4, 1]}},
            r"image_shape \(5, 4, 1\), not \(4, 5, 1\)",
        ),
        ({"preprocessing": {"vocabulary": 256}}, "vocabulary 256, not 17"),
        ({"preprocessing": {"codec": "flif"}}, "codec flif, not webp"),
        ({"preprocessing": {"codec_bits": [1, 2, 3]}}, "codec_bits"),
        ({"density": {"names": list(FITTED[::-1])}}, "other statistics"),
        ({"solver": {"steps": 1}}, "solver.steps"),
        ({"format": 3}, "format"),
        ({"scores": [None]}, "scores.0"),
        ({"scores": [0.0] * 19}, "at least 20"),
        ({"scores": [0.0] * 25}, "add up to the calibration images"),
        ({"calibration_images": {"images": 10**6}}, "add up to the calibration images"),
        ({"calibration_images": {"failed": -3}}, "failed"),
        ({"scores": [1.0] + [0.0] * 99}, "ascend"),
        ({"density": {"mean": [0.0]}}, "one mean and one positive scale"),
        ({"density": {"scale": [0.0] * len(FITTED)}}, "one positive scale for each statistic"),
        ({"density": {"components": []}}, "components"),
        ({"density": {"components": [HOLLOW]}}, "a covariance that is not positive"),
    ],
)
def test_another_s_calibration_is_refused(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    document = fitted().model_dump(mode="json")
    for name, value in changes.items():
        document[name] = {**document[name], **value} if isinstance(value, dict) else value
    (tmp_path / CALIBRATION).write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match=words):
        read_calibration(tmp_path, MANIFEST)


def test_damage_is_refused(tmp_path: Path) -> None:
    (tmp_path / CALIBRATION).write_text("{")
    with pytest.raises(CheckpointError, match=CALIBRATION):
        read_calibration(tmp_path, MANIFEST)
    os.truncate(tmp_path / CALIBRATION, 2**40)
    with pytest.raises(CheckpointError, match="more than"):
        read_calibration(tmp_path, MANIFEST)
    (tmp_path / CALIBRATION).unlink()
    os.mkfifo(tmp_path / CALIBRATION)
    with pytest.raises(CheckpointError, match="not a regular file"):
        read_calibration(tmp_path, MANIFEST)


def test_the_coder_tells_simple_images_from_others() -> None:
    flat, noise = np.zeros((28, 28, 1), np.uint8), DICE.integers(0, 256, (28, 28, 1), np.uint8)
    values = {"log_px_given_z": -100.0 * np.log(2)}
    simple, rich = (with_codec(values, image) for image in (flat, noise))
    assert 20 * simple["codec_bits"] < rich["codec_bits"]
    assert simple["excess_bits"] == pytest.approx(100 - simple["codec_bits"])
    bits = codec_fingerprint((28, 28, 1), 256)
    assert bits[0] == simple["codec_bits"]
    assert bits == codec_fingerprint((28, 28, 1), 256) != codec_fingerprint((28, 28, 1), 255)
    assert len(codec_fingerprint((1, 1, 3), 2)) == 3


def test_sizes_are_compared_as_factors() -> None:
    row = {"log_det": -3.0, "path_rate_1": 8.0, "normality": 0.0}
    found = table([row], ["path_rate_1", "log_det", "normality"])
    np.testing.assert_allclose(found, [[np.log(8), -3.0, np.log(1e-12)]])


def test_a_heatmap_shows_where_the_contribution_is() -> None:
    contribution = np.zeros((4, 5, 3), np.float32)
    contribution[1, 2] = 2.0
    contribution[3, 0, 1] = 3.0
    levels = np.asarray(picture(own_scale(contribution).png()))
    assert levels.shape == (4, 5)
    assert (levels[1, 2], levels[3, 0], levels.sum()) == (255, 128, 383)
    assert not np.asarray(picture(own_scale(np.zeros((4, 5, 1), np.float32)).png())).any()
