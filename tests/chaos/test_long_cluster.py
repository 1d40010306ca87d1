"""A crew on a Redis Cluster whose primaries are killed under load, for minutes: `make chaos`."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from crew import Crew
from traffic import (
    KINDS,
    PATIENCE_S,
    Ends,
    all_mixed,
    ask_all,
    body,
    images,
    kill_often,
    queued_during,
)

from loadtests.redis_cluster import Cluster, until
from service.store import keys
from service.store.shards import in_cluster, shard_of

pytestmark = pytest.mark.chaos

SHARDS = 3
# Primaries that are killed in turn, seconds between two deaths, and between two new jobs.
DEATHS, BETWEEN_S, EVERY_S = 3, 20.0, 0.05
# Seconds before its primary's death within which a job was accepted that may be lost: the primary
# answers before the replica has it.
LAG_S = 1.0
KILLS = 5

SETTINGS = {"max_queued_jobs": 5_000}


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster, in the place of the one Redis that a crew has elsewhere."""
    with Cluster(tmp_path_factory.mktemp("replicated"), replicas=1) as cluster:
        yield cluster


def test_killed_workers_change_no_byte(crew: Crew, own_redis: Cluster) -> None:
    quiet = asyncio.run(all_mixed(crew))
    before, chance, ends = crew.replaced, random.Random(13), Ends(own_redis)

    async def rough() -> list[Any]:
        killing, rounds = asyncio.create_task(kill_often(crew, ends, chance, KILLS)), []
        while not killing.done():
            rounds.append(await all_mixed(crew))
        return rounds

    assert all(found == quiet for found in asyncio.run(rough()))
    ends.close()
    assert crew.replaced - before == KILLS


class _Deaths:
    """Kills the primaries of the shards in turn; each comes back as a replica."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.at: list[tuple[int, float]] = []

    async def run(self) -> None:
        for shard in in_cluster(SHARDS)[:DEATHS]:
            key = shard.name(keys.NOTHING)
            old = self._cluster.owner(key)
            self.at.append((shard.number, time.time()))
            old.stop()
            await asyncio.to_thread(until, partial(self._is_taken, key, old.port))
            await asyncio.sleep(BETWEEN_S / 2)
            await asyncio.to_thread(old.start)
            await asyncio.sleep(BETWEEN_S / 2)

    def _is_taken(self, key: str, port: int) -> bool:
        return self._cluster.owner(key).port != port

    def may_have_lost(self, name: str, accepted_at: float) -> bool:
        """Whether a job's primary died within the replica's lag after it was accepted."""
        shard = shard_of(name, SHARDS)
        return any(dead == shard and 0 <= at - accepted_at < LAG_S for dead, at in self.at)


def test_killed_primaries_lose_what_replication_may_lose(crew: Crew, own_redis: Cluster) -> None:
    requests = [body(number, timeout_s=PATIENCE_S) for number in range(KINDS)]
    quiet = [images(answer) for answer in asyncio.run(ask_all(crew, requests))]
    deaths = _Deaths(own_redis)
    accepted, found = asyncio.run(queued_during(crew, deaths.run(), EVERY_S))
    lost = [one for one, drawn in zip(accepted, found, strict=True) if drawn is None]
    print(
        f"{len(accepted)} jobs accepted, {sum(one[2] for one in accepted)} refusals on the way, "
        f"{len(deaths.at)} primaries killed, {len(lost)} jobs lost and told so"
    )
    assert len(deaths.at) == DEATHS
    for number, drawn in enumerate(found):
        assert drawn in (None, quiet[number % KINDS])
    assert all(deaths.may_have_lost(name, at) for name, at, _ in lost), lost
    assert set(Counter(shard_of(name, SHARDS) for name, _, _ in accepted)) == {0, 1, 2}
