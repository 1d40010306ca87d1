"""The simulated queue before Redis: it is M/D/1, and divided by shards."""

import pytest

from loadtests.capacity.redis_queue import Costs, Fleet, simulate


@pytest.mark.parametrize("busy", [0.3, 0.6, 0.8])
def test_one_shard_is_the_queue_m_d_1(busy: float) -> None:
    service_s = 0.001
    costs = Costs(job_s=service_s, scripts=1, idle_s=0.0)
    waits = simulate(Fleet(1, busy / service_s), costs, 1, seconds=400, seed=1)
    assert waits.busy == pytest.approx(busy, rel=0.03)
    # The median of what is spent there is less than the mean, service + wait.
    mean_s = service_s * (1 + busy / (2 * (1 - busy)))
    assert service_s <= waits.median_s <= mean_s < waits.p99_s


def test_shards_divide_the_work() -> None:
    costs, fleet = Costs(0.001, 7, 0.0005), Fleet(500, 1.0)
    one, three = (simulate(fleet, costs, shards, 60, seed=2) for shards in (1, 3))
    assert one.busy == pytest.approx(0.75, rel=0.05)
    assert three.busy == pytest.approx(one.busy / 3, rel=0.05)
    assert three.p99_s < one.p99_s


def test_past_what_redis_can_do_the_waits_grow_without_end() -> None:
    costs, fleet = Costs(0.001, 7, 0.0), Fleet(1_500, 1.0)
    short, long = (simulate(fleet, costs, 1, seconds, seed=3) for seconds in (10, 100))
    assert short.busy > 1
    assert long.p99_s > 5 * short.p99_s
