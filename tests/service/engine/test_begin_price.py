"""What a begin costs is learned from ticks."""

import pytest

from service.engine.begin_price import ENOUGH, BeginPrice
from service.telemetry.ticks import Tick


def tick(begin: float, rest: float) -> Tick:
    """A tick of which `begin` seconds went into a begin."""
    made = Tick()
    made.parts["begin"], made.seconds = begin, begin + rest
    return made


def learned(*ticks: Tick) -> BeginPrice:
    price = BeginPrice()
    for one in ticks:
        price.record(one)
    return price


def test_a_begin_is_priced_in_ticks() -> None:
    assert learned(*[tick(0.002, 0.040)] * ENOUGH).ticks == pytest.approx(0.05)


def test_nothing_is_known_from_few_begins() -> None:
    assert learned(*[tick(0.002, 0.040)] * (ENOUGH - 1)).ticks == 0


def test_one_disturbed_begin_does_not_spoil_the_price() -> None:
    price = learned(*[tick(0.002, 0.040)] * 50, tick(2.0, 0.040))
    assert 0.05 < price.ticks < 0.06


def test_the_price_follows_the_machine() -> None:
    price = learned(*[tick(0.002, 0.040)] * 50, *[tick(0.002, 0.010)] * 200)
    assert price.ticks == pytest.approx(0.2, rel=0.01)
