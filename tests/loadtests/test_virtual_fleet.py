"""The fleet in virtual time loses nothing, and agrees with queueing theory where that is exact."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.capacity.cost import Cost, mean
from loadtests.capacity.fleet import Fleet, Report
from loadtests.capacity.traffic import MIXED, Arrival, Kind, mean_work, poisson
from service.engine.scheduler import SchedulerLimits
from service.store.bounds import Bounds

SECOND = Cost("virtual", "none", 1, 1, {0: ((1, 1.0),), 1: ((1, 1.0),), 2: ((1, 1.0),)})
# A tick of up to 64 rows in 16 to 40 ms.
GROWING = Cost(
    "virtual", "none", 1, 16, dict.fromkeys((0, 1, 2), ((16, 0.016), (64, 0.040))), job=0.001
)
ROOMY = Bounds(capacity=100_000, retained=0, retention_s=0.0, capacity_cost=10**12)
UNIT = Kind("unit", 1.0, rows=1, evaluations=1)


def simulate(fleet: Fleet, arrivals: Sequence[Arrival]) -> Report:
    return asyncio.run(fleet.run(arrivals))


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_a_row_at_a_time_is_the_queue_m_d_1(load: float) -> None:
    """Pollaczek and Khinchine: the mean wait is load / (2 (1 - load)) services."""
    arrivals = list(poisson([UNIT], load, 8_000.0, seed=3))
    fleet = Fleet(SECOND, limits=SchedulerLimits(tick=1, resident=1, reserve=0.0), bounds=ROOMY)
    report = simulate(fleet, arrivals)
    waits = np.array(report.latencies["unit"]) - 1
    assert waits.mean() == pytest.approx(load / (2 * (1 - load)), rel=0.08)
    assert report.busy / report.span == pytest.approx(load, rel=0.03)


def test_jobs_that_come_together_share_their_ticks() -> None:
    kind = Kind("job", 1.0, rows=8, evaluations=10)
    report = simulate(Fleet(GROWING), [Arrival(0.0, kind, number) for number in range(8)])
    # The first claims before the others have come, and begins a tick alone.
    first = 0.016 + 0.001
    rest = 10 * 0.040 + 7 * 0.001
    assert max(report.latencies["job"]) == pytest.approx(first + rest)
    assert report.ticks == 11


kinds = st.builds(
    Kind,
    st.sampled_from(["a", "b", "c"]),
    st.just(1.0),
    rows=st.integers(1, 80),
    evaluations=st.integers(1, 30),
    probes=st.integers(0, 2),
    spread=st.sampled_from([0.0, 0.3]),
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 5), kinds), min_size=1, max_size=40),
    st.integers(1, 3),
    st.integers(1, 20),
)
def test_every_job_ends_once_and_every_row_is_told_as_often_as_it_takes(
    requests: list[tuple[float, Kind]], workers: int, capacity: int
) -> None:
    requests.sort(key=lambda request: request[0])
    arrivals = [Arrival(at, kind, number) for number, (at, kind) in enumerate(requests)]
    fleet = Fleet(GROWING, workers, bounds=Bounds(capacity, 10_000, 1e6))
    report = simulate(fleet, arrivals)
    assert sum(report.ends.values()) == len(arrivals)
    assert report.ends["succeeded"] == sum(map(len, report.latencies.values()))
    if report.ends["succeeded"] == len(arrivals) and not any(a.kind.spread for a in arrivals):
        assert report.price == sum(arrival.kind.work for arrival in arrivals)
    assert min((min(some) for some in report.latencies.values()), default=1.0) > 0


def test_who_finds_the_queue_full_is_refused_and_the_rest_are_served() -> None:
    kind = Kind("job", 1.0, rows=64, evaluations=100)
    arrivals = [Arrival(0.001 * number, kind, number) for number in range(80)]
    report = simulate(Fleet(GROWING, bounds=Bounds(4, 10_000, 1e6)), arrivals)
    # 64 are held by the worker, four wait.
    assert report.ends["refused"] == 80 - 64 - 4
    assert report.ends["succeeded"] + report.ends["timed out"] == 68
    assert report.ends["timed out"] > 0


def test_what_waits_past_its_deadline_is_ended_in_the_queue() -> None:
    kind = Kind("job", 1.0, rows=64, evaluations=400)
    arrivals = [Arrival(0.001 * number, kind, number) for number in range(70)]
    report = simulate(Fleet(SECOND), arrivals)
    # At the first deadline one more is claimed, in its place.
    assert report.ends == {"timed out": 65, "timed out in the queue": 5}


def test_a_traffic_is_the_same_for_the_same_seed() -> None:
    once, again = (simulate(Fleet(GROWING, 2), _mixed(seed=5)) for _ in range(2))
    other = simulate(Fleet(GROWING, 2), _mixed(seed=6))
    assert once.latencies == again.latencies
    assert once.latencies != other.latencies


def test_more_workers_answer_sooner_until_nobody_waits() -> None:
    medians = [simulate(Fleet(GROWING, n), _mixed(seed=1)).percentile(0.95) for n in (1, 2, 4)]
    assert medians[0] > medians[1] > medians[2]


def test_the_work_of_a_traffic_is_what_its_rows_take() -> None:
    report = simulate(Fleet(GROWING, 4), arrivals := _mixed(seed=2))
    assert report.ends["succeeded"] == len(arrivals)
    assert report.price / len(arrivals) == pytest.approx(mean_work(MIXED), rel=0.35)


def test_shards_change_no_amount_of_work() -> None:
    arrivals = _mixed(seed=2)
    one, three = (simulate(Fleet(GROWING, 4, shards=n), arrivals) for n in (1, 3))
    assert one.ends == three.ends == {"succeeded": len(arrivals)}
    assert one.price == pytest.approx(three.price, rel=0.02)


def test_each_shard_refuses_what_is_past_its_bound() -> None:
    kind = Kind("one", 1.0, rows=1, evaluations=10)
    arrivals = [Arrival(0.0, kind, number) for number in range(20)]
    bounds = Bounds(6, 10_000, 1e6)
    refused = [
        simulate(Fleet(GROWING, 0, bounds=bounds, shards=n), arrivals).ends["refused"]
        for n in (1, 3, 4)
    ]
    assert refused == [14, 14, 12]


def test_a_tick_costs_what_was_measured_and_its_padding_too() -> None:
    assert GROWING.tick({0: 1}) == GROWING.tick({0: 16}) == pytest.approx(0.016)
    assert GROWING.tick({0: 17}) == pytest.approx(0.024)
    assert GROWING.tick({0: 64, 2: 16}) == pytest.approx(0.056)
    assert GROWING.tick({0: 0}) == 0
    with pytest.raises(KeyError):
        GROWING.tick({7: 1})
    assert GROWING.rate() == pytest.approx(64 / 0.040)


def _mixed(seed: int) -> list[Arrival]:
    return list(poisson(MIXED, rate=2.0, seconds=120.0, seed=seed))


def test_a_cost_is_kept_as_it_is_and_the_mean_of_two_lies_between(tmp_path: Path) -> None:
    GROWING.write(tmp_path / "cost.json")
    assert Cost.read(tmp_path / "cost.json") == GROWING
    slow = replace(GROWING, calls=dict.fromkeys((0, 1, 2), ((16, 0.032), (64, 0.080))), job=0.003)
    between = mean(GROWING, slow)
    assert between.tick({0: 64}) == pytest.approx(0.060)
    assert between.job == pytest.approx(0.002)
