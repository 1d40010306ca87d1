"""A crew on three shards, of which one process at a time is cut off from one for longer than a
lease, under load: first a worker, then the API. In `make chaos`."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from crew import Crew
from proxies import Proxy
from redis_server import RedisServer
from tiny_zoo import write_checkpoint
from traffic import KINDS, PATIENCE_S, Ends, ask_all, body, images, queued_during

from service.store.shards import Shard, shard_of

pytestmark = pytest.mark.chaos

SHARDS, CUT = 3, 1
# Seconds of a cut, several leases of the crew, and between two cuts; and between two new jobs.
CUT_S, WHOLE_S, EVERY_S = 8.0, 4.0, 0.1


class Shards:
    """Three Redis. Each process that asks for a URL has a way of its own to the second one."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._stack = stack
        servers = [RedisServer(folder / str(number)) for number in range(SHARDS)]
        self.ports = [stack.enter_context(server).port for server in servers]
        self.ways: list[tuple[str, Proxy]] = []

    def url(self, part: str) -> str:
        """The URL for a process, an `api` or a `worker`."""
        way = self._stack.enter_context(Proxy(self.ports[CUT]))
        self.ways.append((part, way))
        ports = [way.port if shard == CUT else port for shard, port in enumerate(self.ports)]
        return f"redis://{','.join(f'127.0.0.1:{port}' for port in ports)}/0"

    @property
    def parts(self) -> list[tuple[int, Shard]]:
        """The port of each shard."""
        return [(port, Shard(number, SHARDS)) for number, port in enumerate(self.ports)]

    async def cut_one_after_another(self) -> None:
        """Cut off a worker, and then the API, each for a while."""
        await asyncio.sleep(WHOLE_S)
        for part in ("worker", "api"):
            way = next(way for name, way in self.ways if name == part)
            way.cut()
            await asyncio.sleep(CUT_S)
            way.heal()
            await asyncio.sleep(WHOLE_S)


@pytest.fixture
def shards(tmp_path: Path) -> Iterator[Shards]:
    with ExitStack() as stack:
        yield Shards(tmp_path, stack)


def test_who_is_cut_off_from_a_shard_loses_and_doubles_nothing(
    tmp_path: Path, shards: Shards
) -> None:
    write_checkpoint(tmp_path / "zoo" / "tiny")
    requests = [body(number, timeout_s=PATIENCE_S) for number in range(KINDS)]
    with Crew(2, tmp_path / "zoo", shards.url, tmp_path / "log", max_queued_jobs=5_000) as crew:
        crew.wait_until_ready()
        quiet = [images(answer) for answer in asyncio.run(ask_all(crew, requests))]
        ends = Ends(shards)
        accepted, found = asyncio.run(queued_during(crew, shards.cut_one_after_another(), EVERY_S))
        told = ends.read()
        ends.close()
        assert crew.replaced == 0
    refusals = sum(one[2] for one in accepted)
    print(f"{len(accepted)} jobs accepted, {refusals} refusals on the way")
    assert [drawn == quiet[number % KINDS] for number, drawn in enumerate(found)] == [True] * len(
        found
    )
    # The API was really cut off.
    assert refusals > 0
    names = [name for name, _, _ in accepted]
    assert Counter(told[name] for name in names) == {1: len(names)}
    # What was refused may have been put, once.
    assert set(told.values()) == {1}
    assert len(told) - len(names) <= refusals
    assert {shard_of(name, SHARDS) for name in names} == {0, 1, 2}
