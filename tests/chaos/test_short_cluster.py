"""A crew on a Redis Cluster of three primaries: jobs of all kinds, listed and cancelled, and a
worker that dies."""

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
from crew import Crew
from traffic import LONG, Ends, all_mixed, body, images, left, settled

from loadtests.redis_cluster import Cluster
from service.store.shards import shard_of

JOBS, SHARDS = 60, 3


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster, in the place of the one Redis that a crew has elsewhere."""
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


def test_a_killed_worker_loses_nothing(crew: Crew, own_redis: Cluster) -> None:
    quiet = asyncio.run(all_mixed(crew, JOBS))
    ends, before = Ends(own_redis), crew.replaced

    async def rough() -> object:
        running = asyncio.create_task(all_mixed(crew, JOBS))
        await asyncio.sleep(1.0)
        crew.kill_one(random.Random(5))
        return await running

    assert asyncio.run(rough()) == quiet
    assert crew.replaced == before + 1
    told = ends.read()
    ends.close()
    assert len(told) == JOBS
    assert set(told.values()) == {1}
    assert {shard_of(name, SHARDS) for name in told} == {0, 1, 2}
    settled(own_redis)


def test_jobs_are_listed_and_cancelled(crew: Crew, own_redis: Cluster) -> None:
    known = left(own_redis)
    with httpx.Client(base_url=crew.address, timeout=60) as client:
        names = []
        for number in range(2 * SHARDS):
            request = {"kind": "samples", "request": body(number, solver=LONG)}
            key = {"Idempotency-Key": f"once {number}".replace(" ", "-")}
            answers = [client.post("/v1/jobs", json=request, headers=key) for _ in range(2)]
            assert [answer.status_code for answer in answers] == [202, 202]
            name, again = (answer.json()["id"] for answer in answers)
            assert name == again
            names.append(name)
        assert {shard_of(name, SHARDS) for name in names} != {0}
        listed: list[str] = []
        cursor = {}
        while len(listed) < len(names):
            page = client.get("/v1/jobs", params={"limit": 4, **cursor}).json()
            listed += [job["id"] for job in page["jobs"]]
            cursor = {"cursor": page["next_cursor"]}
        assert listed[: len(names)] == names[::-1]
        for name in names:
            assert client.delete(f"/v1/jobs/{name}").status_code == 204
        states = Counter(client.get(f"/v1/jobs/{name}").json()["status"] for name in names)
        assert states == {"cancelled": len(names)}
        # What was cancelled would take minutes; a new request finds the workers free.
        began = time.monotonic()
        assert images(client.post("/v1/samples", json=body(2)))
        assert time.monotonic() - began < 20
        metrics = client.get("/metrics").text
        assert len(re.findall(r'mulan_store_up{shard="\d"} 1.0', metrics)) == SHARDS
    assert {name for name in left(own_redis) - known if ":queue:" in name} == set()
