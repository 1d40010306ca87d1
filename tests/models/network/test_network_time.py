"""The network's time and its inverse."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.network.network_time import NetworkTime
from models.network.schedule import Schedule


def schedule(seed: int, rows: int = 3) -> Schedule:
    draws = torch.Generator().manual_seed(seed)
    a, b, c = 3 * torch.randn(3, rows, 1, 3, 3, generator=draws, dtype=torch.float64)
    return Schedule.normalised(a, b, c.abs() + 1e-3, -7.9, 5.0)


def still(rows: int = 2) -> Schedule:
    """Every dimension stands still at t = 1/2: the slope is (t - 1/2)^4."""
    a, b, c = (torch.full((rows, 1, 2, 2), v, dtype=torch.float64) for v in (1.0, -1.0, 0.25))
    return Schedule.normalised(a, b, c, -7.9, 5.0)


def even(rows: int) -> Tensor:
    return torch.linspace(0, 1, 101, dtype=torch.float64)[:, None].expand(101, rows)


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_it_is_where_the_schedule_says(seed: int) -> None:
    curve = schedule(seed)
    network_time = NetworkTime.of(curve)
    for t in even(3)[::10]:
        torch.testing.assert_close(
            network_time.s(t), curve.network_time(curve.gamma(t)), rtol=0, atol=1e-12
        )


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_the_inverse_inverts_and_never_turns_back(seed: int) -> None:
    network_time = NetworkTime.of(schedule(seed))
    times = torch.stack([network_time.t(s) for s in even(3)])
    assert (times.diff(dim=0) >= 0).all()
    for t, s in zip(times, even(3), strict=True):
        torch.testing.assert_close(network_time.s(t), s, rtol=0, atol=1e-9)


def test_the_ends_are_exact() -> None:
    network_time = NetworkTime.of(schedule(1))
    for end in (torch.zeros(3).double(), torch.ones(3).double()):
        assert torch.equal(network_time.t(end), end)
    assert torch.equal(network_time.s(torch.zeros(3).double()), torch.zeros(3).double())


def test_a_schedule_that_stands_still_is_inverted_as_well_as_it_can_be() -> None:
    network_time = NetworkTime.of(still())
    times = torch.stack([network_time.t(s) for s in even(2)])
    assert times.isfinite().all()
    assert (times.diff(dim=0) >= 0).all()
    found = torch.stack([network_time.s(t) for t in times])
    torch.testing.assert_close(found, even(2), rtol=0, atol=1e-9)


def test_rows_do_not_see_each_other() -> None:
    curve = schedule(4)
    together = NetworkTime.of(curve)
    s = torch.tensor([0.2, 0.5, 0.7], dtype=torch.float64)
    for row in range(3):
        alone = NetworkTime.of(Schedule(*(leaf[row : row + 1] for leaf in curve)))
        torch.testing.assert_close(
            alone.t(s[row : row + 1])[0], together.t(s)[row], rtol=0, atol=1e-14
        )
