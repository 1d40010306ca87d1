"""The small pieces of verdicts by levels, against closed forms."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import ndimage

from models.anomaly.blur import blur
from models.anomaly.covariates import Regression, around, covariates
from models.anomaly.heat import Heat, expected
from models.anomaly.heat_fitting import fit_heat
from models.anomaly.maps import Seen, error_maps
from models.anomaly.packed import Packed
from models.anomaly.power import auroc, check_power
from models.anomaly.subspace import Subspace
from models.anomaly.tails import Tails
from models.anomaly.teaching import Pixels, draw_pixels, teach, weigh

DICE = np.random.default_rng(0)


def test_smoothing_is_a_gaussian_and_keeps_what_is_level() -> None:
    maps = DICE.standard_normal((2, 3, 20, 25))
    inside = (..., slice(8, -8), slice(8, -8))
    wide = ndimage.gaussian_filter(maps, (0, 0, 1.5, 1.5), truncate=8)
    np.testing.assert_allclose(blur(maps, 1.5)[inside], wide[inside], atol=1e-4)
    np.testing.assert_allclose(blur(np.full((4, 5), 3.0), 2.0), 3.0)
    assert blur(maps, 0) is maps


def test_arrays_survive_json_and_damage_is_refused() -> None:
    array = DICE.standard_normal((2, 3))
    packed = Packed.model_validate_json(Packed.of(array).model_dump_json())
    np.testing.assert_allclose(packed.array, array, atol=1e-6)
    for shape, data in (((2, 2), packed.data), ((2, 3), "?"), ((-1,), ""), ((2, 3), "AAAA")):
        with pytest.raises(ValidationError):
            Packed(shape=shape, data=data)
    with pytest.raises(ValidationError, match="not finite"):
        Packed.of(np.array([np.nan]))


def test_what_depends_on_the_covariates_is_taken_out() -> None:
    given = DICE.standard_normal((4000, 3)) * [1, 2, 3] + np.array([0, 5, 0])
    part = 2 * given[:, 0] - given[:, 1] * given[:, 2] + 0.5 * given[:, 2] ** 2
    noise = DICE.standard_normal(4000)
    fitted = Regression.fit(given, (part + noise)[:, None])
    left = part + noise - fitted.expected(given)[:, 0]
    assert left.std() == pytest.approx(1, abs=0.1)
    assert np.corrcoef(left, part)[0, 1] ** 2 < 0.05


def test_the_covariates_of_simple_images() -> None:
    flat, steps = np.full((4, 4, 1), 8, np.uint8), np.zeros((4, 4, 1), np.uint8)
    steps[:, 2:] = 16
    found = covariates(np.stack([flat, steps]), 17)
    np.testing.assert_allclose(found[:, 0], 0.5)
    np.testing.assert_allclose(np.exp(found[0, 1:]), 1 / 17)
    np.testing.assert_allclose(np.exp(found[1, 1:]), [0.5 + 1 / 17, np.sqrt(4 / 16) + 1 / 17])


@pytest.mark.parametrize("count", [20, 500])
def test_nothing_of_an_image_in_the_subspace_lies_outside(count: int) -> None:
    directions = DICE.standard_normal((3, 6 * 7))
    images = (DICE.standard_normal((count, 3)) @ directions + 1).reshape(count, 6, 7, 1)
    subspace = Subspace.fit(images)
    assert abs(subspace.residual(images)).max() < 1e-3
    strange = DICE.standard_normal((5, 6, 7, 1))
    left = subspace.residual(strange).reshape(5, -1)
    assert abs(left @ subspace.directions.array.T).max() < 1e-5
    assert np.square(left).sum() > 0.5 * np.square(strange).sum()


def test_the_surprise_of_a_share_of_good_images_is_its_logarithm() -> None:
    good = DICE.exponential(2.0, (20_000, 2)) * [1, 10]
    tails = Tails.model_validate_json(Tails.of(good, (1.0, 0.5)).model_dump_json())
    share = np.array([0.5, 0.1, 0.01, 1e-6])
    parts = -2 * np.log(share)[:, None] * [1, 10]
    np.testing.assert_allclose(tails.surprise(parts), np.tile(-np.log(share)[:, None], 2), rtol=0.1)
    np.testing.assert_allclose(tails.score(parts), -1.5 * np.log(share), rtol=0.1)
    nothing = tails.surprise(np.array([[-5.0, -5.0]]))
    np.testing.assert_array_equal(nothing, 0)
    assert np.all(np.diff(tails.score(np.linspace(0, 99, 500)[:, None] * [1, 1])) >= 0)


def test_a_part_that_is_the_same_for_all_good_images_is_no_division_by_zero() -> None:
    tails = Tails.of(np.ones((30, 1)), (1.0,))
    assert tails.score(np.array([[1.0]])) < tails.score(np.array([[1.1]])) < np.inf


def test_weights_go_where_the_difference_is_and_are_never_negative() -> None:
    good = DICE.standard_normal((5000, 3))
    strange = DICE.standard_normal((5000, 3)) + np.array([1.5, 0, -1])
    first, second, third = weigh(strange, good)
    assert first > 0.5
    assert abs(second) < 0.1
    assert third == 0
    # Logistic regression of two normals that differ by 1 has a weight of 1, but for the ridge.
    (weight,) = weigh(good[:, :1] + 1, good[:, :1], shrinkage=1e-6)
    assert weight == pytest.approx(1, abs=0.06)


def test_a_perceptron_tells_what_no_weighted_sum_can() -> None:
    inner, outer = DICE.standard_normal((3000, 2)) * 0.4, DICE.standard_normal((3000, 2))
    outer *= 2 / np.linalg.norm(outer, axis=1, keepdims=True)
    perceptron = teach(Pixels(outer, inner), seed=3)
    maps = np.stack([outer[:600], inner[:600]]).reshape(2, 20, 30, 2)
    strange, good = perceptron.logits(maps).reshape(2, -1)
    assert auroc(good, strange) > 0.99
    assert perceptron == teach(Pixels(outer, inner), seed=3)


def test_good_pixels_come_from_good_images_and_from_away_of_defects() -> None:
    masks = np.zeros((1, 6, 6), bool)
    masks[0, 2, 2] = True
    damaged = masks[..., None] * 5.0
    damaged[0, 1, 3] = 7.0
    pixels = draw_pixels(np.ones((2, 6, 6, 1)), damaged, masks, seed=0)
    assert set(pixels.defective.ravel()) == {5.0}
    assert set(pixels.good.ravel()) == {0.0, 1.0}


def test_the_covariates_around_a_pixel_are_those_of_a_neighbourhood() -> None:
    images = DICE.integers(0, 256, (2, 24, 30, 3)).astype(np.uint8)
    images[1] = 51
    before = around(images, 256, 2.0)
    assert before.shape == (2, 24, 30, 3)
    np.testing.assert_allclose(before[1, ..., 0], 0.2)
    np.testing.assert_allclose(np.exp(before[1, ..., 1:]), 1 / 256, rtol=1e-4)
    changed = images.copy()
    changed[:, :, :8] = 255
    np.testing.assert_allclose(around(changed, 256, 2.0)[:, :, 24:], before[:, :, 24:], atol=1e-4)
    assert abs(around(changed, 256, 2.0) - before)[:, :, :8].max() > 0.1
    ramp = np.tile((8 * np.arange(30)).astype(np.uint8)[:, None], (1, 24, 1, 1))
    slope = np.exp(around(ramp, 256, 2.0)[..., 2])
    np.testing.assert_allclose(slope, 8 / 255 + 1 / 256, rtol=1e-6)
    one = around(np.full((1, 1, 5, 1), 51, np.uint8), 256, 2.0)
    np.testing.assert_allclose(one[..., 0], 0.2)


def test_heat_counts_standard_deviations_at_each_pixel() -> None:
    images = DICE.integers(0, 256, (3000, 4, 5, 1)).astype(np.uint8)
    scale = np.linspace(1, 3, 4 * 5).reshape(4, 5)
    noise = scale * DICE.standard_normal((3000, 1, 4, 5))
    for reach in (None, 1.5):
        known = np.broadcast_to(around(images, 256, reach), (3000, 4, 5, 3))
        errors = 5 * known[..., 0][:, None] + noise + 7
        usual = Regression.fit(known.reshape(-1, 3), errors.reshape(-1, 1))
        left = errors - expected(usual, images, 256, reach)
        heat = Heat(
            reach=reach,
            usual=usual,
            mean=Packed.of(left.mean(0)),
            spread=Packed.of(left.std(0)),
            weights=(2.0,),
        )
        found = heat(errors, images, 256)
        np.testing.assert_allclose(found.std(0), 2, rtol=0.02)
        np.testing.assert_allclose(found.mean(0), 0, atol=1e-4)
        assert np.corrcoef(found[:, 2, 3], noise[:, 0, 2, 3])[0, 1] > 0.99
        for changes in (
            {"weights": [1.0, 2.0]},
            {"spread": Packed.of(0 * left.std(0)).model_dump()},
            {"reach": 0},
        ):
            with pytest.raises(ValidationError):
                Heat.model_validate(heat.model_dump() | changes)


def test_what_is_missing_in_one_place_does_not_heat_another() -> None:
    """A large part that is missing, on few good images whose brightness hardly varies."""
    good = np.full((60, 24, 24, 1), 230.0)
    good[:, 4:20, 4:20] = 60
    images = (good + DICE.normal(0, 4, good.shape)).clip(0, 255).astype(np.uint8)
    broken, masks = images.copy(), np.zeros((24, 24, 24), bool)
    broken[:, 4:20, 4:14] = 230
    masks[:, 4:20, 4:14] = True
    one, other, new, bad = (
        Seen(part, (part.astype(np.float64) - good[0])[:, None] / 40)
        for part in (images[:24], broken[:24], images[24:48], broken[48:])
    )
    subspace = Subspace(
        mean=Packed.of(good[0].ravel() / 255), directions=Packed.of(np.zeros((0, good[0].size)))
    )
    heat = fit_heat(one, other, masks, subspace, 256, seed=0)
    assert heat.reach is not None
    usual, shown = (heat(error_maps(part, subspace, 256), part.images, 256) for part in (new, bad))
    white = np.quantile(usual, 0.999)
    assert np.mean(shown[:, masks[0]] > white) > 0.9
    assert np.mean(shown[:, :, 19:] > white) < 0.05


def test_the_auroc_counts_ties_half() -> None:
    good, strange = DICE.integers(0, 9, (2, 50)).astype(float)
    pairs = np.sign(strange[:, None] - good)
    assert auroc(good, strange) == pytest.approx((pairs.mean() + 1) / 2)


def test_power_tells_the_blind_from_those_that_see() -> None:
    good, same = DICE.standard_normal((2, 300))
    kinds = ["left", "right"] * 150
    blind = check_power(good, same, kinds, {"part": (good, same)}, seed=0)
    assert blind.blind
    assert blind.warning is not None
    assert blind.warning.startswith("this calibration hardly sees")
    shifted = same + np.where(np.array(kinds) == "left", 3, 1)
    sees = check_power(good, shifted, kinds, {"part": (good, same)}, seed=0)
    assert not sees.blind
    assert sees.warning is None
    assert sees.kinds["left"].auroc > 0.95 > sees.kinds["right"].auroc > 0.6
    assert sees.kinds["left"].flagged > 0.8
    assert sees.parts["part"] == pytest.approx(0.5, abs=0.08)
    assert "least visible kind is right" in sees.summary
