"""Regions of hot pixels: connected parts, boxes, and the promise on their p-values."""

import time

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import ndimage

from models.anomaly.blur import blur
from models.anomaly.components import connect
from models.anomaly.regions import MOST, Peaks, Region, find_regions
from models.schema.preprocessing import Size

NEIGHBOURS = np.ones((3, 3))


def painted(mask: np.ndarray) -> np.ndarray:
    """The part of each pixel, -1 where there is none."""
    image = np.full(mask.shape, -1)
    for row, start, end, part in zip(*connect(mask), strict=True):
        image[row, start:end] = part
    return image


def drawn(*lines: str) -> np.ndarray:
    """A map whose digits are heat."""
    return np.array([[float(digit) for digit in line] for line in lines])


def spiral(side: int) -> np.ndarray:
    """One path of pixels from the edge to the middle, two pixels from itself."""
    mask = np.zeros((side, side), bool)
    top, left, bottom, right = 0, 0, side - 1, side - 1
    while top <= bottom and left <= right:
        mask[top, max(left - 2, 0) : right + 1] = True
        mask[top : bottom + 1, right] = True
        mask[bottom, left : right + 1] = True
        mask[top + 2 : bottom + 1, left] = True
        top, left, bottom, right = top + 2, left + 2, bottom - 2, right - 2
    return mask


@pytest.mark.parametrize("share", [0.05, 0.3, 0.45, 0.6, 0.95])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (23, 37), (60, 60)])
def test_parts_are_those_of_scipy(share: float, shape: tuple[int, int]) -> None:
    dice = np.random.default_rng(0)
    for _ in range(10):
        mask = dice.random(shape) < share
        found, (expected, count) = painted(mask), ndimage.label(mask, NEIGHBOURS)
        assert ((found >= 0) == mask).all()
        pairs = {*zip(found[mask].tolist(), expected[mask].tolist(), strict=True)}
        assert len(pairs) == count == len({part for part, _ in pairs})


@pytest.mark.parametrize("turns", range(4))
def test_a_spiral_and_a_comb_are_one_part(turns: int) -> None:
    comb = np.zeros((41, 41), bool)
    comb[:, ::2] = comb[-1] = True
    for mask in (spiral(41), comb):
        assert ndimage.label(mask, NEIGHBOURS)[1] == 1
        assert len(set(connect(np.rot90(mask, turns)).parts.tolist())) == 1


def test_nothing_and_everything() -> None:
    assert len(connect(np.zeros((5, 7), bool)).rows) == 0
    assert find_regions(np.zeros((5, 7)), 0.0, 0.0) == []
    assert find_regions(np.ones((5, 7)), 0.0, 0.0) == [Region(0, 0, 7, 5, 35, 1.0)]


def test_boxes_areas_and_peaks_the_hottest_first() -> None:
    heat = drawn(
        "3300000",
        "0030009",
        "0000000",
        "8000555",
        "8000055",
        "0000050",
    )
    # The 9 and the two 8 are specks; the 3 are connected by a corner, the 5 are six.
    assert find_regions(heat, 0.0, 2.0) == [Region(4, 3, 3, 3, 6, 5.0), Region(0, 0, 3, 2, 3, 3.0)]
    assert find_regions(heat, 0.0, 3.0) == [Region(4, 3, 3, 3, 6, 5.0)]


def test_of_a_hot_area_what_is_half_as_hot_as_its_peak_is_taken() -> None:
    heat = drawn(
        "333333333",
        "399937773",
        "399937773",
        "333333333",
        "000000000",
        "044400000",
    )
    # Above 5, the middle between 1 and 9, the area has two parts; the 4 lie apart and stay.
    expected = [Region(1, 1, 3, 2, 6, 9.0), Region(5, 1, 3, 2, 6, 7.0), Region(1, 5, 3, 1, 3, 4.0)]
    assert find_regions(heat, 1.0, 2.0) == expected
    # Below white nothing is taken, however cold black is.
    assert find_regions(heat, -9.0, 2.0)[0] == Region(0, 0, 9, 4, 36, 9.0)


def test_only_the_hottest_are_kept() -> None:
    heat = np.zeros((60, 60))
    peaks = np.random.default_rng(0).permutation(225) + 1.0
    for place, peak in enumerate(peaks):
        y, x = place // 15 * 4, place % 15 * 4
        heat[y : y + 2, x : x + 2] = peak
    found = find_regions(heat, 0.0, 0.5)
    assert [region.peak for region in found] == [225.0 - place for place in range(MOST)]


def test_a_box_covers_its_pixels_in_the_photograph() -> None:
    scaled, size = Size(32, 48), Size(380, 550)
    whole = Region(0, 0, 48, 32, 48 * 32, 1.0).enlarged(scaled, size)
    assert whole == Region(0, 0, 550, 380, 550 * 380, 1.0)
    box = Region(5, 7, 3, 2, 4, 1.0).enlarged(scaled, size)
    assert (box.x, box.y) == (57, 83)
    assert (box.x + box.width, box.y + box.height) == (92, 107)
    assert box.area == round(4 * 550 * 380 / (32 * 48))
    # A photograph that was enlarged to be seen: no box is empty.
    small = Region(5, 7, 1, 1, 1, 1.0).enlarged(scaled, Size(8, 12))
    assert small == Region(1, 1, 1, 1, 1, 1.0)


def field(dice: np.random.Generator) -> np.ndarray:
    return blur(dice.normal(size=(24, 24)), 1.0) * dice.uniform(0.5, 2)


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
def test_of_good_images_at_most_alpha_have_a_region_so_strange(alpha: float) -> None:
    """Over 60 draws of 39 calibration images and 20 new ones, at a threshold that most reach."""
    dice = np.random.default_rng(1)
    flagged = []
    for _ in range(60):
        peaks = Peaks.of([float(field(dice).max()) for _ in range(39)])
        for _ in range(20):
            values = peaks.p_values(find_regions(field(dice), 0.0, 0.6))
            assert values == sorted(values)
            flagged.append(min(values, default=1.0) <= alpha)
    # The draws of the calibration count too: a deviation of 0.1 over 60 of them.
    error = np.sqrt(alpha * (1 - alpha) * (1 / 1200 + 1 / (60 * 39)))
    assert alpha - 4 * error < np.mean(flagged) < alpha + 3 * error


def test_an_image_without_heat_ranks_above_every_region() -> None:
    peaks = Peaks.of([2.0, np.inf, 1.0, np.nan])
    assert (peaks.failed, peaks.values) == (2, (1.0, 2.0))
    hot, cold = Region(0, 0, 1, 1, 3, 5.0), Region(0, 0, 1, 1, 3, 2.0)
    assert peaks.p_values([hot, cold]) == [3 / 5, 4 / 5]
    with pytest.raises(ValidationError, match="ascending"):
        Peaks(failed=0, values=(2.0, 1.0))


def test_the_time_is_bounded_whatever_the_map() -> None:
    """A photograph of 550x380 takes milliseconds; the limit allows for a busy machine."""
    dice = np.random.default_rng(2)
    columns = np.broadcast_to(np.arange(550) % 2, (380, 550)).astype(float)
    for heat in (columns, dice.random((380, 550)), spiral(550)[:380] * 1.0):
        begun = time.process_time()
        find_regions(heat, 0.0, 0.5)
        assert time.process_time() - begun < 2
