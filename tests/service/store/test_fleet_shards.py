"""What an API knows of the workers of a fleet while one of two shards is away."""

import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from test_fleet import announced

from loadtests.redis_cluster import Node
from service.errors import NotReady, StoreUnavailable, UnknownModel
from service.process import Resources
from service.serve_api import Api
from service.settings import Settings
from service.store.opening import Shared, open_store
from service.store.shards import shard_of
from service.telemetry.opening import open_tracing
from service.telemetry.registry import new_registry

pytestmark = pytest.mark.anyio

SHARDS = 2
# Workers by the shard in which they announce themselves.
WORKERS = [
    [f"w{number}" for number in range(20) if shard_of(f"w{number}", SHARDS) == shard]
    for shard in range(SHARDS)
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[Node]]:
    nodes = [Node(tmp_path / str(number), "--save", "") for number in range(SHARDS)]
    with contextlib.ExitStack() as stack:
        for node in nodes:
            stack.enter_context(node)
        yield nodes


@pytest.fixture
async def api(nodes: list[Node]) -> AsyncIterator[Api]:
    """An API that takes orders."""
    url = f"redis://{','.join(f'127.0.0.1:{node.port}' for node in nodes)}/0"
    settings = Settings(store=url, model_control=True)
    with socket.socket() as listener, open_tracing("", "api") as tracing:
        async with open_store(settings) as (store, shared):
            assert isinstance(shared, Shared)
            await shared.wait_until_reachable()
            made = Resources(settings, 0.0, listener, tracing, new_registry(), store, shared)
            yield Api(made)


async def test_the_catalogue_goes_on_with_the_shards_that_answer(
    api: Api, nodes: list[Node]
) -> None:
    fleet = api.fleet
    await fleet.announce(WORKERS[1][0], 1.0, [announced("there", "a")])
    await fleet.announce(WORKERS[0][0], 1.0, [announced("here", "b")])
    await api.refresh()
    assert {model.name for model in api.catalogue} == {"here", "there"}
    nodes[1].stop()
    await fleet.announce(WORKERS[0][1], 2.0, [announced("new", "c")])
    await fleet.retire(WORKERS[0][0])
    await api.orders.give("here", "unload")
    await api.refresh()
    # The worker that cannot be asked about counts as alive.
    assert {model.name for model in api.catalogue} == {"there", "new"}
    assert fleet.workers == {"there": 1, "new": 1}
    with pytest.raises(UnknownModel):
        api.catalogue.get("here")
    with pytest.raises(StoreUnavailable):
        await fleet.names()
    # The server is empty when it comes back.
    nodes[1].start()
    await api.refresh()
    assert {model.name for model in api.catalogue} == {"new"}
    with pytest.raises(NotReady):
        api.catalogue.get("there")


async def test_what_was_unloaded_stays_so_while_the_shard_of_the_orders_is_away(
    api: Api, nodes: list[Node]
) -> None:
    await api.fleet.announce(WORKERS[1][0], 1.0, [announced("old", "a")])
    await api.orders.give("old", "unload")
    await api.refresh()
    nodes[0].stop()
    await api.fleet.announce(WORKERS[1][0], 1.0, [announced("new", "b")])
    await api.refresh()
    assert {model.name for model in api.catalogue} == {"new"}
    with pytest.raises(UnknownModel):
        api.catalogue.get("old")
    nodes[1].stop()
    with pytest.raises(StoreUnavailable):
        await api.refresh()
    assert {model.name for model in api.catalogue} == {"new"}
