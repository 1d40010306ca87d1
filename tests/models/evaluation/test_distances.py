"""Kernel and Frechet distance, against what they are known to be."""

import math
from itertools import combinations

import pytest
import torch
from torch import Tensor

from models.evaluation.samples.distances import Distance, Reference

WIDTH = 8


def normal(count: int, seed: int, mean: float = 0.0, spread: float = 1.0) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    return mean + spread * torch.randn(count, WIDTH, generator=draws, dtype=torch.float64)


def test_equal_distributions_are_no_distance_apart_on_average() -> None:
    """Unbiased: the mean over many draws is zero, where a biased estimate's would be positive."""
    values = torch.tensor(
        [Reference.of(normal(50, s)).kernel_distance(normal(40, -s)).value for s in range(1, 201)]
    )
    assert (values < 0).any()
    assert values.mean().abs() < 4 * values.std() / len(values) ** 0.5


def test_the_kernel_distance_is_the_sum_over_pairs() -> None:
    real, drawn = normal(5, 1), normal(4, 2, mean=0.5)
    lengths = [float((a - b).norm()) for a, b in combinations(real, 2)]
    scale = sorted(lengths)[(len(lengths) - 1) // 2]
    x, y = drawn / scale, real / scale

    def kernel(a: Tensor, b: Tensor) -> float:
        return math.exp(-4 * float((a - b).square().sum()))

    among = [
        sum(kernel(a[i], a[j]) for i in range(len(a)) for j in range(len(a)) if i != j)
        / (len(a) * (len(a) - 1))
        for a in (x, y)
    ]
    across = sum(kernel(a, b) for a in x for b in y) / (len(x) * len(y))
    found = Reference.of(real).kernel_distance(drawn)
    assert found.value == pytest.approx(sum(among) - 2 * across)


def test_the_frechet_distance_of_normals_is_its_closed_form() -> None:
    """|m|^2 + D (s - 1)^2 for isotropic normals, in units of the real features' scale."""
    real = normal(4_000, 0)
    reference = Reference.of(real)
    found = reference.frechet_distance(normal(4_000, 1, mean=0.5, spread=2.0))
    expected = WIDTH * (0.25 + 1.0) / float(reference.scale) ** 2
    assert found.value == pytest.approx(expected, rel=0.05)
    assert reference.frechet_distance(real).value == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("measure", [Reference.kernel_distance, Reference.frechet_distance])
def test_the_error_bar_is_that_of_other_draws(measure: object) -> None:
    """The bootstrap's standard error is near the spread over draws, its interval around."""
    assert callable(measure)
    reference = Reference.of(normal(300, 0))
    found: list[Distance] = [measure(reference, normal(200, s, mean=0.4)) for s in range(1, 61)]
    spread = torch.tensor([distance.value for distance in found]).std()
    mean_error = torch.tensor([distance.standard_error for distance in found]).mean()
    assert float(mean_error / spread) == pytest.approx(1, abs=0.35)
    assert all(distance.low < distance.value < distance.high for distance in found)


def test_units_do_not_matter() -> None:
    real, drawn = normal(60, 1), normal(50, 2, mean=0.3)
    once, again = (
        (reference.kernel_distance(k * drawn), reference.frechet_distance(k * drawn))
        for k, reference in ((1, Reference.of(real)), (1000, Reference.of(1000 * real)))
    )
    for a, b in zip(once, again, strict=True):
        assert a.value == pytest.approx(b.value)
