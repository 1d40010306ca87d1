"""Traffic of the comparison: loads are as meant, and every server has the same requests."""

import numpy as np
import pytest

from loadtests.peers.scenarios import FULL, QUICK, SCORING, STEPS, Plan, beside_long
from loadtests.peers.traffic import LEAD_S, Kind, Scenario, arrivals

RATE = 700.0
CHEAP = Kind("cheap", 0.25, solver={"name": "ddpm", "steps": 10})
DEAR = Kind("dear", 0.75, solver={"name": "ddpm", "steps": 90})
MIXED = Scenario("mixed", "two kinds", (CHEAP, DEAR), (0.8,))


@pytest.mark.parametrize("load", [0.4, 1.2])
@pytest.mark.parametrize("scenario", [MIXED, STEPS], ids=lambda one: one.name)
def test_the_work_that_comes_is_the_load(scenario: Scenario, load: float) -> None:
    coming = arrivals(scenario, load, RATE, 20_000, number=0)
    work = sum(arrival.kind.work for arrival in coming)
    assert work / coming[-1].at == pytest.approx(load * RATE, rel=0.05)


def test_shares_are_of_work() -> None:
    coming = arrivals(MIXED, 0.8, RATE, 20_000, number=0)
    cheap = sum(arrival.kind.work for arrival in coming if arrival.kind is CHEAP)
    assert cheap / sum(arrival.kind.work for arrival in coming) == pytest.approx(0.25, abs=0.02)


def test_gaps_are_exponential() -> None:
    times = np.array([arrival.at for arrival in arrivals(MIXED, 0.8, RATE, 20_000, number=0)])
    gaps = np.diff(times)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)


def test_arrivals_repeat_and_differ_by_round() -> None:
    first, again, other = (arrivals(MIXED, 0.8, RATE, 50, number) for number in (1, 1, 2))
    assert first == again
    assert [one.at for one in first] != [one.at for one in other]
    assert not {one.seed for one in first} & {one.seed for one in other}


def test_bursts_come_together_at_the_load() -> None:
    bursts = Scenario("bursts", "bursts", (CHEAP,), (0.8,), "bursts", burst=8)
    times = [arrival.at for arrival in arrivals(bursts, 0.8, RATE, 24, number=0)]
    gap = 8 * CHEAP.work / (0.8 * RATE)
    assert times == pytest.approx([0.0] * 8 + [gap] * 8 + [2 * gap] * 8)


def test_long_jobs_come_first_and_are_no_part_of_the_load() -> None:
    scenario = beside_long(2, 8, 1000)
    coming = arrivals(scenario, 0.3, RATE, 30, number=0)
    assert [one.long for one in coming] == [True, True] + [False] * 30
    assert [one.at for one in coming[:2]] == [0.0, 0.0]
    assert min(one.at for one in coming[2:]) > LEAD_S
    assert len({one.seed for one in coming}) == 32


def test_likelihoods_are_what_short_requests_run_beside() -> None:
    coming = arrivals(SCORING, 0.6, RATE, 2_000, number=0)
    assert 0 < sum(one.long for one in coming) < 1_000
    assert all(one.long == (not one.kind.samples) for one in coming)


def test_a_likelihood_is_priced_with_its_probes() -> None:
    scoring = Kind("likelihood", probes=3, images=2)
    assert scoring.work == 2 * 4 * scoring.evaluations
    body = scoring.body("digits", 1, ["a", "b", "c"])
    assert body["images"] == ["b", "c"]
    assert body["probes"] == 3


@pytest.mark.parametrize("plan", [FULL, QUICK], ids=["full", "quick"])
def test_every_cell_has_enough_requests(plan: Plan) -> None:
    for scenario in plan.scenarios:
        for load in scenario.loads:
            requests = plan.requests(scenario, load, RATE)
            assert requests >= plan.fewest
            if scenario.arrivals == "bursts":
                assert requests % scenario.burst == 0
    assert all(scenario in plan.scenarios for scenario in plan.slow)


def test_a_full_run_has_150_short_requests_a_cell() -> None:
    assert FULL.rounds == 3
    assert FULL.rounds * FULL.fewest >= 150
