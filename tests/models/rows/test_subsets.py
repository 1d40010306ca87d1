import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.rows.subsets import draw_subset, log_probability


def every_subset(n: int, k: int) -> torch.Tensor:
    subsets = list(itertools.combinations(range(n), k))
    found = torch.zeros(len(subsets), n)
    for row, members in enumerate(subsets):
        found[row, list(members)] = 1
    return found


@given(st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=7), st.data())
def test_probabilities_are_products_and_sum_to_one(
    logits: list[float], data: st.DataObject
) -> None:
    k = data.draw(st.integers(0, len(logits)))
    subsets = every_subset(len(logits), k)
    values = torch.tensor(logits).expand(len(subsets), -1)
    found = log_probability(values, subsets, k)
    assert float(found.logsumexp(0)) == pytest.approx(0, abs=1e-9)
    plain = (values * subsets).double().sum(1)
    assert torch.allclose(found - found[0], plain - plain[0], atol=1e-5)


def test_draws_have_these_probabilities() -> None:
    logits, rows = torch.tensor([2.0, -1.0, 0.5, 0.0, 1.0]), 60_000
    dice = torch.Generator().manual_seed(0)
    uniforms = torch.rand(rows, 5, generator=dice, dtype=torch.float64)
    drawn = draw_subset(logits.expand(rows, -1), 2, uniforms)
    assert (drawn.sum(1) == 2).all()
    for subset in every_subset(5, 2):
        chance = float(log_probability(logits[None], subset[None], 2).exp())
        share = float((drawn == subset).all(1).double().mean())
        assert abs(share - chance) < 4 * math.sqrt(chance * (1 - chance) / rows)


@pytest.mark.parametrize(("n", "k"), [(0, 0), (3, 0), (3, 3), (50, 15)])
def test_every_size_can_be_drawn(n: int, k: int) -> None:
    logits = torch.linspace(-30, 30, n).expand(4, n)
    uniforms = torch.rand(4, n, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    drawn = draw_subset(logits, k, uniforms)
    assert (drawn.sum(1) == k).all()
    assert log_probability(logits, drawn, k).isfinite().all()
    if k in (0, n):
        assert torch.allclose(log_probability(logits, drawn, k), torch.zeros(4).double())
