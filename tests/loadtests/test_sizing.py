"""Workers for a traffic; a made-up device; what a job costs a real Redis."""

import time

import pytest
import torch
from test_virtual_fleet import GROWING, UNIT

from loadtests.capacity import redis_limits
from loadtests.capacity.paced import PacedDenoiser
from loadtests.capacity.sizing import by_formula, by_simulation
from loadtests.capacity.traffic import MIXED, Kind, mean_work
from models.network.mulan import Mulan
from models.rows.rows import Query
from models.schema.mulan import MulanConfig

CONFIG = MulanConfig(
    image_shape=(4, 4, 1),
    vocabulary=17,
    width=8,
    depth=1,
    encoder_depth=1,
    groups=4,
    latent_size=0,
    latent_k=0,
)


def test_workers_are_the_work_over_a_share_of_what_full_ticks_do() -> None:
    rate = 3 * GROWING.rate() / mean_work(MIXED)
    assert by_formula(GROWING, MIXED, 0.99 * rate, busy=0.5) == 6
    assert by_formula(GROWING, MIXED, 1.01 * rate, busy=0.5) == 7
    assert by_formula(GROWING, MIXED, 0.001) == 1


def test_the_fewest_workers_that_are_quick_enough_are_found() -> None:
    kind = Kind("sheet", 1.0, rows=16, evaluations=20)
    rate = 2.5 * GROWING.rate() / kind.work
    workers, report = by_simulation(GROWING, [kind], rate, "sheet", 5.0, seconds=30.0, seed=1)
    assert workers == 3
    assert report.percentile(0.95, "sheet") <= 5.0
    with pytest.raises(ValueError, match="too few"):
        by_simulation(GROWING, [UNIT], 1.0, "unit", 0.001, seconds=5.0, seed=1)


@pytest.mark.parametrize("probes", [0, 2])
def test_a_made_up_device_takes_its_time_and_says_nothing(probes: int) -> None:
    denoiser = PacedDenoiser(Mulan(CONFIG), GROWING)
    condition = denoiser.condition(torch.zeros(20, 0))
    cotangents = torch.ones(20, probes, 1, 4, 4) if probes else None
    began = time.perf_counter()
    answer = denoiser.evaluate(
        Query(torch.ones(20, 1, 4, 4), torch.full((20,), 0.5), cotangents), condition
    )
    assert time.perf_counter() - began >= GROWING.tick({probes: 20})
    assert not answer.eps.any()
    assert (answer.vjps is None) == (not probes)


@pytest.mark.parametrize("shards", [1, 3])
def test_a_job_costs_redis_a_few_scripts_and_some_time(shards: int) -> None:
    with redis_limits.redis_servers(shards) as servers:
        found = redis_limits.per_job(servers, workers=2, jobs=40)
        calls = redis_limits.per_call(servers)
    assert (found.workers, found.shards) == (2, shards)
    assert found.seconds / shards <= found.busiest <= found.seconds
    assert 4 <= found.calls < 8
    assert found.commands > found.calls
    assert found.seconds > 0
    assert found.rate > 0
    # Sixteen images of 28x28 go in and come out.
    assert found.kilobytes > 2 * 16 * 28 * 28 / 1000
    worker, api = redis_limits.idle(calls)
    assert worker > 0
    assert api > 0
