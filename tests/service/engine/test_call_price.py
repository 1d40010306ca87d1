"""What a call of some size costs is learned from calls."""

import random

import pytest

from service.engine.call_price import EFFICIENCY, ENOUGH, LEAST, CallPrice, CallPrices, CallSizes


def learned(fixed: float, each: float, calls: int = 200, disturbed: float = 0.0) -> CallPrice:
    """A price from calls of 1 to 64 row-evaluations, some of which take ten times as long."""
    price, chance = CallPrice(), random.Random(0)
    for number in range(calls):
        work = chance.randint(1, 64)
        slow = 10 if number >= ENOUGH and chance.random() < disturbed else 1
        price.record(work, slow * (fixed + each * work))
    return price


@pytest.mark.parametrize("fixed", [3e-3, 9e-3])
def test_an_efficient_call_costs_little_more_than_its_rows(fixed: float) -> None:
    efficient = learned(fixed, 1e-3).efficient
    assert efficient is not None
    assert efficient * 1e-3 / (fixed + efficient * 1e-3) == pytest.approx(EFFICIENCY, abs=0.01)


def test_disturbed_calls_do_not_spoil_the_price() -> None:
    quiet, noisy = learned(2e-3, 1e-3).efficient, learned(2e-3, 1e-3, disturbed=0.05).efficient
    assert quiet is not None
    assert noisy is not None
    assert 0.5 < noisy / quiet < 2


def test_calls_without_a_fixed_part_may_be_small() -> None:
    assert learned(0.0, 1e-3).efficient == LEAST


def test_the_price_follows_the_machine() -> None:
    price, chance = learned(1e-3, 1e-3), random.Random(1)
    for _ in range(1000):
        work = chance.randint(1, 64)
        price.record(work, 4e-3 + 1e-3 * work)
    assert price.efficient == pytest.approx(4 * EFFICIENCY / (1 - EFFICIENCY), rel=0.05)


def test_nothing_is_known_from_few_calls_or_from_calls_of_one_size() -> None:
    assert learned(1e-3, 1e-3, calls=ENOUGH - 1).efficient is None
    same = CallPrice()
    for _ in range(100):
        same.record(64, 0.05)
    assert same.efficient is None


def test_the_sizes_of_a_tick_are_those_of_its_calls() -> None:
    prices, chance = CallPrices(), random.Random(0)
    for _ in range(100):
        rows = chance.randint(1, 64)
        padded = -(-rows // 16) * 16
        prices.record("a", 0, 16, rows, 3.1e-3 + 1e-3 * padded)
        prices.record("a", 2, 1, rows, 6.1e-3 + 3e-3 * rows)
    assert prices.sizes({("a", 0): 16}) == CallSizes(16, 18)
    assert prices.sizes({("a", 2): 1}) == CallSizes(3, 35)
    assert prices.sizes({("a", 0): 16, ("a", 2): 1}) == CallSizes(1, 18 + 35)
    assert prices.sizes({("a", 0): 16, ("b", 0): 1}) == CallSizes(1, None)
    assert prices.sizes({}) == CallSizes(1, None)
