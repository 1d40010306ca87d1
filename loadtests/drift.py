"""Simulate the test of drift: how often it errs, and after how many images it sees a change.

Scores are standard normal, in calibrations of m images and in those that come. A test has seen a
change when its capital is 100 or more.

    python -m loadtests.drift
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models.anomaly.growing_ranks import GrowingRanks
from models.anomaly.simple_jumper import SimpleJumper

Scores = NDArray[np.float64]
REACHED = 2.0
USUAL = 150
TESTS, FEW_TESTS = 40, 10


def images_until(calibration: Scores, coming: Scores, key: str) -> int | None:
    """Return the number of images after which the capital is 100, if it ever is."""
    ranks, jumper = GrowingRanks(calibration.tolist(), key), SimpleJumper()
    return _first(jumper, (ranks.p_value(score) for score in coming.tolist()))


def images_until_by_calibration(
    calibration: Scores, coming: Scores, dice: np.random.Generator
) -> int | None:
    """Return the same where scores are ranked among the calibration's alone."""
    above = len(calibration) - np.searchsorted(np.sort(calibration), coming)
    p_values = (above + dice.random(len(coming))) / (len(calibration) + 1)
    return _first(SimpleJumper(), iter(p_values.tolist()))


def _first(jumper: SimpleJumper, p_values: Iterator[float]) -> int | None:
    for number, p_value in enumerate(p_values, 1):
        jumper.bet(p_value)
        if jumper.log10 >= REACHED:
            return number
    return None


def without_drift(dice: np.random.Generator) -> None:
    """Print how many tests err in 5,000 images."""
    print("| no drift, 5,000 images | m | tests that reach 100 |\n|---|---|---|")
    for m, tests in ((20, 300), (USUAL, 100)):
        ends = [
            images_until(dice.normal(size=m), dice.normal(size=5000), str(k)) for k in range(tests)
        ]
        print(f"| ranks among all earlier scores | {m} | {_reached(ends)} of {tests} |")
    for m, tests in ((20, 100), (USUAL, 100), (2000, 60)):
        ends = [
            images_until_by_calibration(dice.normal(size=m), dice.normal(size=5000), dice)
            for _ in range(tests)
        ]
        print(f"| ranks among the calibration's alone | {m} | {_reached(ends)} of {tests} |")


def shifts(dice: np.random.Generator) -> None:
    """Print after how many images a shift is seen, at once and after good images."""
    print(
        "\n| shift | good images before | images until 100, median (middle 80 %) |\n|---|---|---|"
    )
    for shift in (0.5, 1.0, -1.0, 3.0):
        for quiet, tests in ((0, TESTS), (1000, TESTS), (10_000, FEW_TESTS)):
            found = []
            for k in range(tests):
                coming = np.concatenate([dice.normal(size=quiet), dice.normal(shift, 1, 1000)])
                end = images_until(dice.normal(size=USUAL), coming, str(k))
                if end is not None and end > quiet:
                    found.append(end - quiet)
            middle, low, high = np.quantile(found, [0.5, 0.1, 0.9])
            print(f"| {shift:g} | {quiet:,} | {middle:.0f} ({low:.0f} to {high:.0f}) |")


def strange_shares(dice: np.random.Generator) -> None:
    """Print how many tests of 2,000 images see a share of very strange ones, or a wider spread."""
    print("\n| change, 2,000 images | tests that reach 100 |\n|---|---|")
    for share in (0.05, 0.1, 0.15, 0.2, 0.3, 0.5):
        ends = []
        for k in range(TESTS):
            strange = dice.random(2000) < share
            coming = np.where(strange, dice.normal(9, 1, 2000), dice.normal(size=2000))
            ends.append(images_until(dice.normal(size=USUAL), coming, str(k)))
        print(f"| {share:.0%} very strange | {_reached(ends)} of {TESTS} |")
    ends = [
        images_until(dice.normal(size=USUAL), dice.normal(0, 2, 2000), str(k)) for k in range(TESTS)
    ]
    print(f"| twice the spread | {_reached(ends)} of {TESTS} |")


def _reached(ends: list[int | None]) -> int:
    return sum(end is not None for end in ends)


def main() -> None:
    dice = np.random.Generator(np.random.PCG64(0))
    without_drift(dice)
    shifts(dice)
    strange_shares(dice)


if __name__ == "__main__":
    main()
