"""A network that is cut between one process and one shard, for longer than a lease: nothing comes
through, and no connection is closed. Later it is healed, and what was sent meanwhile arrives."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from certificates import Authority
from proxies import Proxy
from redis_server import RedisServer
from store_setup import RESULT, A, is_result, job

from service.errors import StoreUnavailable, UnknownJob
from service.jobs import Job
from service.settings import Settings
from service.store.base import Claim, Key, Store
from service.store.opening import open_store
from service.store.retry import cancel_all, retry_while_unavailable
from service.store.shards import new_id, shard_of

pytestmark = pytest.mark.anyio

T = TypeVar("T")
SHARDS, CUT, LEASE_S = 3, 1, 3.0
# A call asks for the primary, connects and waits for an answer, each for a bounded time.
BOUND_S, PATIENCE_S = 15.0, 60.0


class Network:
    """Three shards. Each process has a way of its own to the second one, which can be cut."""

    def __init__(self, folder: Path, stack: ExitStack, over_tls: bool) -> None:
        self._stack, self._scheme, self._options = stack, "redis", ""
        servers = [RedisServer(folder / str(number)) for number in range(SHARDS)]
        self._ports = [stack.enter_context(server).port for server in servers]
        if over_tls:
            authority = Authority(folder / "authority")
            tls = authority.served("DNS:localhost")
            veiled = [stack.enter_context(Proxy(port, tls)) for port in self._ports]
            self._ports = [proxy.port for proxy in veiled]
            self._scheme, self._options = "rediss", f"?ssl_ca_certs={authority.certificate}"

    @contextlib.asynccontextmanager
    async def process(self) -> AsyncIterator[tuple[Store, Proxy]]:
        """The store of a process, and its way to the shard that can be cut."""
        way = self._stack.enter_context(Proxy(self._ports[CUT]))
        ports = [way.port if shard == CUT else port for shard, port in enumerate(self._ports)]
        hosts = ",".join(f"localhost:{port}" for port in ports)
        settings = Settings(store=f"{self._scheme}://{hosts}/0{self._options}", lease_s=LEASE_S)
        async with open_store(settings) as (store, shared):
            assert shared is not None
            await shared.wait_until_reachable()
            yield store, way
            # Whether it is cut still or not: a process stops in time.
            began = time.monotonic()
        assert time.monotonic() - began < BOUND_S


@pytest.fixture(params=["plain", pytest.param("tls", marks=pytest.mark.needs("openssl"))])
def network(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Network]:
    with ExitStack() as stack:
        yield Network(tmp_path, stack, request.param == "tls")


def timely(store: Store, shard: int | None = None) -> Job:
    name = store.new_id() if shard is None else new_id(time.time(), shard, SHARDS)
    return replace(job(name), deadline=time.time() + 600)


async def soon(act: Callable[[], Awaitable[T]]) -> T:
    """What becomes of something that is repeated while the store is away."""
    return await asyncio.wait_for(retry_while_unavailable(act), PATIENCE_S)


async def refused(call: Awaitable[object]) -> None:
    """A call is refused, and does not wait for the network."""
    async with asyncio.timeout(BOUND_S):
        with pytest.raises(StoreUnavailable):
            await call


async def is_known(store: Store, name: str) -> bool:
    try:
        await store.summary(name)
    except UnknownJob:
        return False
    return True


async def swept(store: Store) -> None:
    """Sweep for as long as this runs, as an API does."""
    while True:
        with contextlib.suppress(StoreUnavailable):
            await store.sweep()
        await asyncio.sleep(LEASE_S / 6)


async def work(store: Store, done: Counter[str]) -> None:
    """Run jobs for as long as this runs, and count those whose result was stored by id."""

    async def complete(claim: Claim) -> None:
        done[claim.job.id] += await retry_while_unavailable(lambda: store.complete(claim, RESULT))

    while True:
        await complete(await retry_while_unavailable(lambda: store.claim((A,))))


async def renewed(store: Store, claim: Claim) -> None:
    """Renew a lease for as long as this runs, as a worker does for each part of a store."""
    while True:
        await retry_while_unavailable(lambda: store.renew([claim]))
        await asyncio.sleep(LEASE_S / 6)


async def test_a_worker_that_is_cut_off_from_one_shard(network: Network) -> None:
    async with AsyncExitStack() as stack:
        api, _ = await stack.enter_async_context(network.process())
        worker, way = await stack.enter_async_context(network.process())
        other, _ = await stack.enter_async_context(network.process())
        sweeping, done = asyncio.create_task(swept(api)), Counter[str]()
        taken, kept = (
            await api.put(timely(api, CUT), attended=True),
            await api.put(timely(api, 0), attended=True),
        )
        waiting = [asyncio.create_task(api.wait(name)) for name in (taken, kept)]
        held = [await asyncio.wait_for(worker.claim((A,)), BOUND_S) for _ in range(2)]
        of_cut, of_other = sorted(held, key=lambda claim: claim.job.id != taken)
        renewing = asyncio.create_task(renewed(worker, of_other))
        way.cut()
        await refused(worker.renew([of_cut]))
        await refused(worker.report(of_cut, 0.5))
        await refused(worker.complete(of_cut, RESULT))
        # The job that it could not finish becomes another's; what it holds elsewhere stays its own.
        again = await asyncio.wait_for(other.claim((A,)), PATIENCE_S)
        assert (again.job.id, again.epoch > of_cut.epoch) == (taken, True)
        await cancel_all(renewing)
        assert await soon(lambda: worker.complete(of_other, RESULT))
        # It goes on with the other shards.
        name = await api.put(timely(api, 2))
        more = await asyncio.wait_for(worker.claim((A,)), PATIENCE_S)
        assert more.job.id == name
        assert await soon(lambda: worker.complete(more, RESULT))
        way.heal()
        assert not await soon(lambda: worker.complete(of_cut, RESULT))
        assert await soon(lambda: worker.renew([of_cut])) == [of_cut]
        assert await other.complete(again, RESULT)
        for ended in await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE_S):
            assert is_result(ended.outcome)
        # It has jobs of the shard again.
        working = asyncio.create_task(work(worker, done))
        names = [await api.put(timely(api, CUT), attended=True) for _ in range(3)]
        for ended in await asyncio.wait_for(asyncio.gather(*map(api.wait, names)), PATIENCE_S):
            assert is_result(ended.outcome)
        await cancel_all(sweeping, working)
    assert done == Counter(names)


async def test_an_api_that_is_cut_off_from_one_shard(network: Network) -> None:
    async with AsyncExitStack() as stack:
        api, way = await stack.enter_async_context(network.process())
        worker, _ = await stack.enter_async_context(network.process())
        other, _ = await stack.enter_async_context(network.process())
        await api.sweep()
        await asyncio.sleep(0.1)
        before = await api.put(timely(api, CUT))
        attended = await api.put(timely(api, CUT), attended=True)
        waiting = [asyncio.create_task(api.wait(name)) for name in (before, attended)]
        tasks, done = [asyncio.create_task(swept(store)) for store in (api, other)], Counter[str]()
        way.cut()
        await refused(api.summary(before))
        tasks.append(asyncio.create_task(work(worker, done)))
        # Of the job that a client waits for nobody can say that it does: it is dropped. Meanwhile
        # new jobs go to the other shards, but for one that tries the shard that is away.
        names, tried = list[str](), list[str]()
        async with asyncio.timeout(PATIENCE_S):
            while (
                await is_known(other, attended)
                or {shard_of(name, SHARDS) for name in names} != {0, 2}
                or len(names) <= len(tried)
            ):
                new = timely(api)
                try:
                    names.append(await api.put(new, attended=True))
                except StoreUnavailable:
                    tried.append(new.id)
                    continue
                assert is_result((await asyncio.wait_for(api.wait(names[-1]), BOUND_S)).outcome)
        assert {shard_of(name, SHARDS) for name in tried} <= {CUT}
        # What was sent may be put all the same, when it arrives: a key keeps it from being two.
        scope = next(text for text in map(str, range(99)) if shard_of(text, SHARDS) == CUT)
        key = Key(scope, "digest")
        one = replace(timely(api), id=api.new_id(key))
        await refused(api.put(one, key))
        assert not any(task.done() for task in waiting)
        way.heal()
        again = await soon(lambda: api.put(replace(one, id=api.new_id(key)), key))
        for ending in (waiting[0], api.wait(again)):
            assert is_result((await asyncio.wait_for(ending, PATIENCE_S)).outcome)
        with pytest.raises(UnknownJob):
            await asyncio.wait_for(waiting[1], PATIENCE_S)
        assert await soon(lambda: api.put(replace(one, id=api.new_id(key)), key)) == again
        await cancel_all(*tasks)
    assert (
        {before, attended, again, *names} <= set(done) <= {before, attended, again, *names, *tried}
    )
    assert set(done.values()) == {1}
