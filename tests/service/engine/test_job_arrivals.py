"""The chance that a job comes during a tick."""

import math

import pytest

from service.engine.arrivals import Arrivals


def test_nothing_is_expected_at_first() -> None:
    assert Arrivals().chance == 0.0


def test_the_chance_is_that_of_a_poisson_process() -> None:
    arrivals = Arrivals()
    for tick in range(400):
        if tick % 2:
            arrivals.count()
        arrivals.tick()
    assert arrivals.chance == pytest.approx(1 - math.exp(-0.5), abs=0.02)


def test_a_burst_is_forgotten() -> None:
    arrivals = Arrivals()
    for _ in range(64):
        arrivals.count()
    arrivals.tick()
    burst = arrivals.chance
    for _ in range(100):
        arrivals.tick()
    assert arrivals.chance < 0.05 < burst
