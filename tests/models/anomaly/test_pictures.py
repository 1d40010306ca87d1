"""Verdicts on pictures: the promise is about pictures, whatever their tiles depend on."""

import numpy as np
import pytest
from pydantic import ValidationError
from small_calibration import small_calibration

from models.anomaly.kept import read_calibration, save_calibration
from models.anomaly.pictures import AGGREGATES, PictureReference, judge_pictures
from models.anomaly.ranked import Verdict
from models.anomaly.readings import Reading
from models.anomaly.statistics import FITTED
from models.evaluation.anomalies.counts import auroc, count, table
from models.preprocessing.tiles import Tiling
from models.schema.errors import CheckpointError
from models.schema.manifest import Manifest
from models.schema.mulan import MulanConfig
from models.schema.preprocessing import PictureRule, Size

CONFIG = MulanConfig(image_shape=(4, 4, 1), width=8, depth=1, groups=4, latent_size=6, latent_k=2)
RULE = PictureRule.model_validate(
    {"mode": "grey", "size": {"rule": "scale", "factor": 1}, "tile": (4, 4), "stride": (4, 4)}
)
MANIFEST = Manifest(
    name="parts", config=CONFIG, sha256="0" * 64, parameters=CONFIG.parameters, preprocessing=RULE
)


def reference(scores, failed=0, **more) -> PictureReference:
    settings = {
        "rule": RULE.digest,
        "aggregate": "max",
        "sha256": "1" * 64,
        "density_pictures": 3,
        "density_sha256": "2" * 64,
        "same_source": False,
    }
    return PictureReference(
        pictures=len(scores) + failed,
        failed=failed,
        scores=tuple(sorted(scores)),
        **settings | more,
    )


def calibration(**more):
    return small_calibration("0" * 64, CONFIG).model_copy(update={"pictures": reference(**more)})


def reading(strangeness: float | None) -> Reading:
    if strangeness is None:
        return Reading(39, reason="it failed")
    return Reading(39, dict.fromkeys(FITTED[:-2], strangeness))


def judged(found, tiles, sizes):
    images = np.zeros((len(tiles), 4, 4, 1), np.uint8)
    return judge_pictures(found, [reading(one) for one in tiles], images, Tiling(RULE, sizes))


def test_a_picture_has_the_score_of_its_strangest_tile():
    sizes = (Size(4, 8), Size(4, 4), Size(8, 8))
    one, two, three = judged(calibration(scores=[1e9]), [1, 5, 2, 1, 1, 9, 1], sizes)
    assert [len(picture.tiles) for picture in (one, two, three)] == [2, 1, 4]
    assert one.score == one.tiles[1].score > one.tiles[0].score
    assert three.score == three.tiles[2].score
    assert two.p_value == 1


def test_a_picture_with_a_tile_that_failed_is_stranger_than_all_that_did_not():
    good, bad = judged(
        calibration(scores=[0.0] * 18, failed=1), [1, 1, 1, None], (Size(4, 8), Size(4, 8))
    )
    assert good.reason is None
    assert (bad.score, bad.reason, bad.p_value) == (None, "it failed", 2 / 20)


@pytest.mark.parametrize(
    ("name", "expected"), [("max", 9.0), ("top-3", 7.0), ("mean", 4.6), ("mean-odds", 7.5347)]
)
def test_ways_to_make_one_score(name, expected):
    assert AGGREGATES[name](np.array([9.0, 1.0, 7.0, 5.0, 1.0])) == pytest.approx(
        expected, rel=1e-4
    )
    assert AGGREGATES[name](np.array([2.0])) == 2.0
    assert AGGREGATES[name](np.array([2.0, np.inf])) == np.inf


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_of_good_pictures_at_most_alpha_are_flagged(aggregate):
    """Although the tiles of one picture depend on each other, and pictures have unequal numbers of
    them: over 400 draws of calibration and new pictures."""
    dice = np.random.default_rng(0)
    flagged = []
    for _ in range(400):

        def picture():
            own = dice.normal()
            return AGGREGATES[aggregate](own + 0.3 * dice.normal(size=dice.integers(1, 12)))

        known = reference([picture() for _ in range(39)], aggregate=aggregate)
        flagged += [known.p_value(picture()) <= 0.1 for _ in range(10)]
    assert 0.07 < np.mean(flagged) < 0.12


def test_a_calibration_of_another_preparation_is_refused(tmp_path):
    save_calibration(tmp_path, calibration(scores=[1.0]))
    assert read_calibration(tmp_path, MANIFEST).pictures.pictures == 1
    other = RULE.model_copy(update={"edges": "crop"})
    for rule in (None, other):
        changed = MANIFEST.model_copy(update={"preprocessing": rule})
        with pytest.raises(CheckpointError, match="prepared in another way; calibrate again"):
            read_calibration(tmp_path, changed)
    save_calibration(tmp_path, small_calibration("0" * 64, CONFIG))
    with pytest.raises(CheckpointError, match="prepared in another way"):
        read_calibration(tmp_path, MANIFEST)


def test_a_reference_adds_up():
    with pytest.raises(ValidationError, match="add up"):
        reference([1.0]).model_validate(reference([1.0]).model_dump() | {"failed": 1})
    with pytest.raises(ValidationError, match="ascending"):
        PictureReference.model_validate(reference([1.0, 2.0]).model_dump() | {"scores": (2, 1)})
    assert reference([1.0] * 19).smallest_alpha == 0.05


def test_counts_of_pictures():
    good = [float(score) for score in range(39)]
    rows = count(good, [38.5, 3.0], [99.0, 37.5, 5.0])
    assert [row.alpha for row in rows] == [1 / 40, 0.05, 0.1, 0.2]
    # Ranked among the 38 others, the two highest have p-values 1/39 and 2/39.
    assert [row.good_stopped for row in rows] == [0, 1, 3, 7]
    assert [row.held_out_stopped for row in rows] == [1, 1, 1, 1]
    assert [row.defects_missed for row in rows] == [2, 1, 1, 1]
    shown = table(rows, 39, 2, 3).splitlines()
    assert shown[0].split("   ")[1:] == [
        "of 39 good, stopped",
        "of 2 other good, stopped",
        "of 3 defects, missed",
    ]
    assert shown[2].split() == ["0.05", "1", "1", "1"]
    assert len(table(count(good, [], []), 39, 0, 0).splitlines()[1].split()) == 2


def test_auroc_of_pictures():
    assert auroc([1.0, 2.0], [3.0, 4.0]) == 1
    assert auroc([1.0, 2.0], [2.0]) == 0.75
    assert auroc([], [2.0]) is None


def test_a_tile_s_verdict_has_a_score_or_a_reason():
    (picture,) = judged(calibration(scores=[1.0]), [None], (Size(4, 4),))
    assert picture.tiles == (Verdict(1 / 41, reason="it failed"),)
