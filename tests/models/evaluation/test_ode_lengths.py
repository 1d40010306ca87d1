"""Lengths of steps that are fitted to the rates of a path."""

import pytest
import torch
from torch import Tensor

from models.evaluation.ode.lengths import MOST_UNEQUAL, even_lengths, steps_of
from models.schema.ode_error import PARTS


def bump(s: Tensor, centre: float) -> Tensor:
    return torch.exp(-(((s - centre) / 0.08) ** 2))


def points(count: int) -> Tensor:
    return torch.linspace(0, 1, count, dtype=torch.float64)


@pytest.mark.parametrize("part", range(PARTS))
def test_steps_are_short_where_the_rate_bends(part: int) -> None:
    centre = (part + 0.5) / PARTS
    found = even_lengths(torch.stack([bump(points(201), centre), -bump(points(201), centre)]))
    assert float(found.min()) == 1
    assert int(found.argmin()) == part
    assert float(found.max()) <= MOST_UNEQUAL * (1 + 1e-9)


def test_the_trapezoid_rule_errs_less_with_as_many_steps() -> None:
    """The rate is steep at one end, as that of `fashion-mnist` is."""
    s = points(201)
    steep = torch.exp(-40 * s)
    steps = torch.tensor(steps_of(even_lengths(steep[None]), 30), dtype=torch.float64)
    ends = [0.0]
    while ends[-1] < 1:
        step = steps[min(int(PARTS * ends[-1]), PARTS - 1)]
        ends.append(min(1.0, ends[-1] + float(step)))
    assert len(ends) <= 33
    exact = (1 - torch.exp(torch.tensor(-40.0, dtype=torch.float64))) / 40
    even, uneven = (
        abs(float(torch.trapezoid(torch.exp(-40 * at), at) - exact))
        for at in (points(len(ends)), torch.tensor(ends, dtype=torch.float64))
    )
    assert uneven < even / 2


def test_a_straight_rate_has_equal_steps() -> None:
    found = even_lengths(torch.zeros(2, 101, dtype=torch.float64))
    assert torch.equal(found, torch.ones(PARTS, dtype=torch.float64))
    assert steps_of(found, 40) == pytest.approx([1 / 40] * PARTS)


def test_so_many_steps_lead_over_the_whole_way() -> None:
    lengths = torch.tensor([1.0, 1, 1, 1, 1, 1, 2, 2, 2, 2], dtype=torch.float64)
    steps = steps_of(lengths, 60)
    assert sum(1 / PARTS / step for step in steps) == pytest.approx(60)
    assert steps[-1] == pytest.approx(2 * steps[0])
