"""What a shared store tells whoever observes it."""

import asyncio
import contextlib
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from redis_server import RedisServer
from store_setup import POLL_S, RESULT, A, FakeClock, bounds, claim, job

from loadtests.redis_cluster import Node
from service.errors import StoreUnavailable
from service.settings import Settings
from service.store.connection import Connected, connect
from service.store.fleet import Fleet
from service.store.opening import open_store
from service.store.quotas import Quotas
from service.store.redis import RedisStore
from service.telemetry.observers import StoreObserver
from service.telemetry.store import StoreMetrics

pytestmark = pytest.mark.anyio

LEASE_S = 0.2


class Recorder(StoreObserver):
    def __init__(self) -> None:
        self.answered: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.redelivered = self.given_up = 0

    def round_trip(self, operation: str, seconds: float, shard: int) -> None:
        assert 0 <= seconds < 10
        self.answered[operation] += 1

    def unreachable(self, operation: str, seconds: float, shard: int) -> None:
        assert 0 <= seconds < 10
        self.failed[operation] += 1

    def swept(self, redelivered: int, given_up: int) -> None:
        self.redelivered += redelivered
        self.given_up += given_up


async def test_every_round_trip_is_told_by_its_operation(server: RedisServer) -> None:
    told = Recorder()
    async with connect(server.url) as client:
        store = RedisStore(client, bounds(), poll_s=POLL_S, observer=told)
        fleet = Fleet(client, told)
        quotas = Quotas(Settings(request_rate="5/minute"), [Connected(client)], told)
        await store.put(job("j", deadline=1e11))
        await store.complete(await claim(store), RESULT)
        await store.record("j")
        await store.load()
        await fleet.announce("w", 0.0, [])
        await fleet.models()
        await fleet.retire("w")
        await quotas.admit("somebody")
        await store.close()
    asked = ["put", "claim", "complete", "record", "load", "announce", "workers", "retire", "quota"]
    assert told.answered == dict.fromkeys(asked, 1)
    assert not told.failed


async def test_a_redis_that_is_away_is_told(server: RedisServer) -> None:
    told = Recorder()
    async with connect("redis://127.0.0.1:1/0") as client:
        store = RedisStore(client, bounds(), observer=told)
        with pytest.raises(StoreUnavailable):
            await store.check_capacity("", 1)
        with pytest.raises(StoreUnavailable):
            await store.summary("j")
    assert told.failed == {"check_capacity": 1, "summary": 1}
    assert not told.answered


async def test_a_redis_that_is_full_is_up_and_takes_no_more_jobs(server: RedisServer) -> None:
    """What the alert MulanRedisFails rests on: reads say that all is well, and errors add up."""
    registry = CollectorRegistry()
    metrics = StoreMetrics(registry)

    def errors(operation: str) -> float | None:
        labels = {"operation": operation}
        return registry.get_sample_value("mulan_store_errors_total", labels)

    async with connect(server.url) as client:
        store = RedisStore(client, bounds(), poll_s=POLL_S, observer=metrics)
        fleet = Fleet(client, metrics)
        await store.put(job("j", deadline=1e11))
        running = await claim(store)
        await client.config_set("maxmemory", "1")
        try:
            with pytest.raises(StoreUnavailable):
                await store.put(job("k", deadline=1e11))
            assert errors("put") == 1
            assert up(registry) == 0
            await fleet.announce("w", 0.0, [])
            await fleet.models()
            assert await store.complete(running, RESULT)
            assert up(registry) == 1
            assert errors("put") == 1
        finally:
            await client.config_set("maxmemory", "0")
            await store.close()


async def test_each_shard_is_up_or_away_by_itself(tmp_path: Path) -> None:
    """What is told of one that is away stays, whatever the others answer meanwhile."""
    registry = CollectorRegistry()
    with Node(tmp_path / "0") as first, Node(tmp_path / "1") as second:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in (first, second))
        settings = Settings(store=f"redis://{hosts}/0", request_rate="100/minute")
        async with open_store(settings, StoreMetrics(registry)) as (store, shared):
            assert shared is not None
            await shared.wait_until_reachable()
            assert (up(registry, 0), up(registry, 1)) == (1, 1)
            second.stop()
            quotas = Quotas(settings, shared.shards, shared.observer)
            for number in range(8):
                name = f"owner {number}"
                with contextlib.suppress(StoreUnavailable):
                    await quotas.admit(name)
                for call in (store.load(), store.has_jobs(A), shared.fleet.names()):
                    with pytest.raises(StoreUnavailable):
                        await call
                with contextlib.suppress(StoreUnavailable):
                    await store.check_capacity("", 1)
                assert (up(registry, 0), up(registry, 1)) == (1, 0)
            second.start()
            await store.load()
            assert (up(registry, 0), up(registry, 1)) == (1, 1)


def up(registry: CollectorRegistry, shard: int = 0) -> float | None:
    return registry.get_sample_value("mulan_store_up", {"shard": str(shard)})


async def test_sweeps_tell_what_waits_again_and_what_was_given_up(
    server: RedisServer, clock: FakeClock
) -> None:
    told = Recorder()
    async with connect(server.url) as client:
        limits = bounds(LEASE_S, most_crashes=1)
        store = RedisStore(client, limits, clock=clock, poll_s=POLL_S, observer=told)
        await store.put(job("j"))
        await claim(store, A)
        async with asyncio.timeout(20):
            while not told.redelivered:
                await store.sweep()
                await asyncio.sleep(LEASE_S / 4)
        assert (told.redelivered, told.given_up) == (1, 0)
        assert (await store.load()).dead_letters == 0
        await store.report(await claim(store, A), 0.0)
        async with asyncio.timeout(20):
            while not told.given_up:
                await store.sweep()
                await asyncio.sleep(LEASE_S / 4)
        assert (told.redelivered, told.given_up) == (1, 1)
        assert (await store.load()).dead_letters == 1
        await store.close()
