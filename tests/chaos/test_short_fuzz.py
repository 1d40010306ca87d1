"""What is in Redis may be anything: each process, each loop and each other job goes on."""

from typing import Any

import pytest
from crew import Crew
from fuzz import LONG_ENOUGH, Fuzz, writes
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from redis_server import RedisServer

from service.store import keys

SETTINGS = {"lease_s": 2.0, "max_crashes": 2, "max_timeout_s": 20.0}
FIRST = ("job", "string", "instead", "status", b"\xff", 1.0)


@pytest.fixture(scope="module")
def fuzz(crew: Crew, own_redis: RedisServer) -> Any:
    fuzz = Fuzz(crew, own_redis)
    yield fuzz
    fuzz.close()


def round_of(fuzz: Fuzz, several: list[tuple[Any, ...]]) -> None:
    """Write while one job runs that is written to, and another that is not."""
    victim, innocent = fuzz.queue(timeout_s=8, **LONG_ENOUGH), fuzz.queue()
    for write in several:
        fuzz.write(write, victim)
    fuzz.victims.append(victim)
    fuzz.check(innocent)


@settings(
    max_examples=10,
    derandomize=True,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@example(several=[(keys.DRAINED, "job", "list", "instead", "status", b"garbage", 1.0)])
@example(several=[(keys.WORKERS, "job", "zset", "beside", "status", b"\xff\xfe", 1.0)])
@example(several=[(keys.NEWS, *FIRST)])
@example(several=[(keys.QUEUE, "queue", "stream", "beside", "foo", b"bar", 1.0)])
@example(several=[(keys.QUEUE, "queue", *FIRST[1:])])
@example(several=[(keys.ADMITTED, *FIRST)])
@given(several=st.lists(writes, min_size=1, max_size=3))
def test_random_bytes_and_wrong_types_harm_no_other_job(
    fuzz: Fuzz, several: list[tuple[Any, ...]]
) -> None:
    round_of(fuzz, several)


def test_what_was_written_to_has_ended(fuzz: Fuzz) -> None:
    fuzz.settle()
