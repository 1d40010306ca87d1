"""Trees of tensors that lead with their rows."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.rows.rows import (
    QUANTUM,
    NoiseKey,
    Query,
    concat,
    count,
    pad,
    row_quantum,
    split,
    take,
    where,
    whole,
)


def query(rows: int) -> Query:
    x = torch.arange(rows * 6.0).view(rows, 1, 2, 3)
    return Query(x, torch.arange(float(rows)), x[:, None].expand(-1, 2, -1, -1, -1))


def tree(rows: int) -> tuple[Query, NoiseKey]:
    return query(rows), NoiseKey(torch.arange(rows), torch.arange(rows) * 10)


def rows_of(value: tuple[Query, NoiseKey]) -> list[int]:
    """The names of the rows, after checking that all leaves agree on them."""
    found, key = value
    assert found.cotangents is not None
    assert torch.equal(found.x[:, 0, 0, 0], 6 * found.t)
    assert torch.equal(found.cotangents[:, 1], found.x)
    assert torch.equal(key.number, 10 * key.seed)
    assert torch.equal(found.t.long(), key.seed)
    return key.seed.tolist()


def test_take_keeps_the_order_it_is_given() -> None:
    assert rows_of(take(tree(5), torch.tensor([3, 0, 3]))) == [3, 0, 3]
    assert rows_of(take(tree(4), torch.tensor([True, False, False, True]))) == [0, 3]
    assert rows_of(take(tree(4), torch.tensor([], dtype=torch.int64))) == []


def test_what_is_absent_stays_absent() -> None:
    bare = query(3)._replace(cotangents=None)
    assert take(bare, torch.tensor([1])).cotangents is None
    assert concat([bare, bare]).cotangents is None
    assert pad(bare, 4).cotangents is None


@given(st.lists(st.integers(0, 4), min_size=1, max_size=5).filter(any))
def test_split_undoes_concat(sizes: list[int]) -> None:
    whole = tree(sum(sizes))
    parts = split(whole, sizes)
    assert [count(part) for part in parts] == sizes
    assert rows_of(concat(parts)) == list(range(sum(sizes)))


@given(st.integers(1, 40), st.sampled_from([1, 2, 7, 16]))
def test_pad_repeats_the_last_row(rows: int, multiple: int) -> None:
    padded = rows_of(pad(tree(rows), multiple))
    assert padded[:rows] == list(range(rows))
    assert set(padded[rows:]) <= {rows - 1}
    assert len(padded) % multiple == 0
    assert len(padded) < rows + multiple


def test_where_chooses_row_by_row() -> None:
    chosen = where(
        torch.tensor([True, False, True]), tree(3), take(tree(9), torch.tensor([6, 7, 8]))
    )
    assert rows_of(chosen) == [0, 7, 2]


def test_where_keeps_what_is_not_chosen_out() -> None:
    poisoned = query(2)._replace(x=torch.full((2, 1, 2, 3), torch.nan))
    assert torch.equal(where(torch.tensor([False, False]), poisoned, query(2)).x, query(2).x)


@pytest.mark.parametrize("function", [torch.pow, torch.hypot, lambda a, b: (a * b).expm1().log()])
def test_a_column_comes_to_the_same_whatever_its_length(function: Any) -> None:
    draws = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 500, generator=draws, dtype=torch.float64)
    together = whole(function, a, b)
    for rows in (1, 3, 31, 33):
        parts = zip(a.split(rows), b.split(rows), strict=True)
        assert torch.equal(torch.cat([whole(function, *part) for part in parts]), together)


@pytest.mark.parametrize(
    ("dimensions", "rows"), [(64, 1), (784, 4), (3072, 1), (6, 32), (25, 32), (2, 32)]
)
def test_a_quantum_of_rows_leaves_no_tail(dimensions: int, rows: int) -> None:
    assert row_quantum(dimensions) == rows
    assert rows * dimensions % QUANTUM == 0
