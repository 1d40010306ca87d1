"""Probes that are renewed, and the noise that they leave."""

import math

import torch
from torch import Tensor

from models.rows.rows import NoiseKey
from models.solvers.probing import (
    CYCLE,
    begin,
    between_points,
    between_probes,
    fixed_error,
    flips,
    fresh_error,
)

SHAPE = (2, 1, 8, 8)


def signs_at(
    *points: int, cycle: int = CYCLE, seed: int = 5, number: int = 0, solve: int = 0
) -> Tensor:
    """The signs at these points, `[points, probes, D]`."""
    rows = len(points)
    key = NoiseKey(torch.full((rows,), seed), torch.full((rows,), number))
    solves, cycles = torch.full((rows,), solve), torch.full((rows,), cycle)
    found = flips(key, solves, cycles, torch.tensor(points), SHAPE)
    return found.flatten(2)


def test_over_a_cycle_near_pixels_cancel_out() -> None:
    """Summed over a cycle, the products of the signs of two pixels that lie next to each other, in
    a row, a column or a diagonal, or at a distance of two in one of them, are zero."""
    signs = signs_at(*range(CYCLE))[:, 0]
    products = (signs.T @ signs).view(8, 8, 8, 8)
    for rows, columns in ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0)):
        for row in range(8 - rows):
            for column in range(8 - columns):
                assert products[row, column, row + rows, column + columns] == 0
    assert (signs.square() == 1).all()


def test_signs_are_kept_in_a_cycle_and_new_in_the_next() -> None:
    first, second = signs_at(0), signs_at(CYCLE)
    assert not torch.equal(first, second)
    assert abs(float((first * second).mean())) < 4 / math.sqrt(first.numel())
    pattern = signs_at(3) * first
    assert torch.equal(pattern, signs_at(CYCLE + 3) * second)
    # Probes differ in their signs and share the pattern.
    assert torch.equal(pattern[:, 0], pattern[:, 1])
    assert not torch.equal(first[:, 0], first[:, 1])


def test_signs_depend_on_seed_solve_and_point_alone() -> None:
    assert torch.equal(signs_at(3, 11)[1], signs_at(11)[0])
    assert torch.equal(signs_at(7, number=0), signs_at(7, number=4))
    assert not torch.equal(signs_at(7, seed=5), signs_at(7, seed=6))
    assert not torch.equal(signs_at(7, solve=0), signs_at(7, solve=1))
    assert (signs_at(0, 7, 30, cycle=0) == 1).all()


def white(rows: int, points: int, probes: int) -> Tensor:
    """Independent standard normals about a line, `[points, rows, probes]`."""
    dice = torch.Generator().manual_seed(3)
    noise = torch.randn(points, rows, probes, generator=dice, dtype=torch.float64)
    return noise + torch.arange(points)[:, None, None]


def test_one_probe_tells_its_noise_by_second_differences() -> None:
    rows, points = 400, 60
    rates, h = white(rows, points, 1), torch.full((rows,), 0.5, dtype=torch.float64)
    spread = begin(rates[0])
    for here in range(1, points - 1):
        kink = rates[here + 1] - 2 * rates[here] + rates[here - 1]
        spread = between_points(spread, kink[:, 0], h, h)
    # The first step has none before it, and counts for nothing.
    spread = between_points(spread, kink[:, 0], torch.zeros_like(h), h)
    error = fresh_error(spread)
    truth = (points - 2) * 0.25
    assert abs(float(error.variance.mean()) / truth - 1) < 0.03
    # An estimate with n degrees of freedom varies by 2 / n of its square.
    told = 2 * truth**2 / float(error.variance.var())
    assert abs(float(error.freedom.median()) / told - 1) < 0.2


def test_several_probes_tell_their_noise_by_their_differences() -> None:
    rows, cycles, probes = 400, 9, 3
    rates = white(rows, 2 * cycles, probes)
    spread = begin(rates[0])
    for end in range(1, 2 * cycles):
        renewed = torch.full((rows,), end % 2 == 0)
        spread = between_probes(spread, rates[end - 1] / 2, rates[end] / 2, renewed)
    error = fresh_error(spread)
    truth = (2 * cycles - 1.5) / probes
    assert abs(float(error.variance.mean()) / truth - 1) < 0.05
    told = 2 * truth**2 / float(error.variance.var())
    assert abs(float(error.freedom.median()) / told - 1) < 0.3


def test_no_noise_is_no_error_and_not_a_number_out_of_nothing() -> None:
    error = fresh_error(begin(torch.zeros(2, 4, dtype=torch.float64)))
    assert error.variance.tolist() == [0, 0]
    assert error.freedom.tolist() == [3, 3]


def test_fixed_probes_tell_by_their_spread_and_one_tells_nothing() -> None:
    log_det = torch.tensor([[1.0, 2.0, 4.0]], dtype=torch.float64)
    error = fixed_error(log_det)
    assert torch.allclose(error.variance, log_det.var(1) / 3)
    assert error.freedom.tolist() == [2]
    assert fixed_error(log_det[:, :1]).variance.isnan().all()
    assert fixed_error(log_det[:, :1]).freedom.isnan().all()
