"""Numbers of a cell, computed from outcomes whose times are known."""

import math
from dataclasses import replace

import numpy as np
import pytest

from loadtests.peers.client import Outcome
from loadtests.peers.measures import SLACK, Played, agreements, by_cell, cell, percentile
from loadtests.peers.traffic import Arrival, Kind

# A full call takes 64 / 64 s, so a request of ten evaluations is in time within SLACK x 10 s.
KIND = Kind("one", solver={"name": "ddpm", "steps": 10})
BARE, ROWS, LIMIT = 64.0, 64, 10 * SLACK


def outcome(at: float, took: float | None, seed: int = 0, status: int = 200) -> Outcome:
    ended = None if took is None else at + took
    found = status if took is not None else None
    return Outcome(Arrival(at, KIND, seed), 0.001, ended, found, (f"png {seed}",))


def played(*outcomes: Outcome, server: str = "ours", number: int = 0) -> Played:
    return Played(number, server, "equal", 0.4, outcomes, BARE, 0.5, 100.0, ROWS)


def test_latency_counts_from_the_intended_time() -> None:
    one = outcome(3.0, 2.0)
    assert replace(one, late=0.7).latency == one.latency == pytest.approx(2.0)


def test_numbers_of_a_cell() -> None:
    rounds = [
        played(outcome(1.0, 1.0), outcome(2.0, LIMIT + 1)),
        played(outcome(0.0, 3.0), outcome(1.0, 4.0), number=1),
    ]
    found = cell(rounds)
    spans = (1 + LIMIT + 1) + 5.0
    assert (found.requests, found.answered) == (4, 4)
    assert (found.p50, found.p95, found.p99) == pytest.approx((3.0, LIMIT + 1, LIMIT + 1))
    assert found.attainment == 0.75
    assert found.throughput == pytest.approx(40 / spans)
    assert found.goodput == pytest.approx(30 / spans)
    assert found.of_bare == pytest.approx((20 / (LIMIT + 2) + 20 / 5) / 2 / BARE)
    assert found.spent_ms == pytest.approx(1e3 * 1.0 / 4)
    assert found.client_late_ms == pytest.approx(1.0)
    assert found.long_end_s is None


def test_what_is_not_answered_is_infinitely_late() -> None:
    found = cell([played(outcome(0.0, 1.0), outcome(0.0, None), outcome(0.0, 0.5, status=503))])
    assert (found.answered, found.p50, found.p95) == (1, math.inf, math.inf)
    assert found.attainment == pytest.approx(1 / 3)
    assert found.throughput == pytest.approx(10 / 1.0)


def test_long_jobs_count_apart() -> None:
    long = replace(outcome(0.0, 30.0), arrival=Arrival(0.0, KIND, 9, long=True))
    found = cell([played(long, outcome(1.0, 1.0))])
    assert (found.requests, found.p99, found.long_end_s) == (1, 1.0, 30.0)
    assert found.throughput == pytest.approx(10 / 1.0)


def test_percentiles_are_of_the_requests() -> None:
    values = np.arange(1.0, 101.0)
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99)] == [50.0, 95.0, 99.0]
    assert percentile(np.array([4.0]), 0.5) == 4.0


def test_cells_come_in_the_order_of_the_servers() -> None:
    other = [played(outcome(0.0, 1.0), server=name) for name in ("mosec", "ours", "mosec")]
    found = by_cell(other, ("ours", "mosec", "fastapi"))
    assert [(one.server, one.requests) for one in found] == [("ours", 1), ("mosec", 2)]


def test_answers_are_compared_request_by_request() -> None:
    ours = played(outcome(0.0, 1.0, seed=1), outcome(0.0, 1.0, seed=2), outcome(0.0, None, seed=3))
    wrong = replace(outcome(0.0, 1.0, seed=2), images=("another png",))
    theirs = played(outcome(0.0, 9.0, seed=1), wrong, outcome(0.0, 1.0, seed=3), server="mosec")
    found = agreements([ours, theirs], "ours")
    assert list(found) == ["mosec"]
    assert (found["mosec"].images, found["mosec"].same_images) == (2, 1)
    assert [key[-1] for key in found["mosec"].differing] == [2]


@pytest.mark.parametrize(("score", "same"), [(-70.0 * (1 + 1e-8), 1), (-70.001, 0)])
def test_scores_may_differ_in_the_last_digits(score: float, same: int) -> None:
    ours, theirs = (
        played(replace(outcome(0.0, 1.0), images=(), scores=(value,)), server=name)
        for name, value in (("ours", -70.0), ("mosec", score))
    )
    found = agreements([ours, theirs], "ours")["mosec"]
    assert (found.scores, found.same_scores, found.images) == (1, same, 0)
