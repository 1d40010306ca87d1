"""Orders of a fleet that a worker follows, and a folder that it watches."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis_server import RedisServer

from models.schema.manifest import MANIFEST
from service import fleet_control, following
from service.control import Loaded
from service.errors import (
    CheckpointRefused,
    DeadlineExceeded,
    NotEnoughMemory,
    NotReady,
    ServiceError,
    UnknownModel,
)
from service.fleet_control import FleetControl
from service.following import follow_orders, states, watch_folder
from service.store.connection import connect
from service.store.fleet import Fleet
from service.store.orders import Orders

pytestmark = pytest.mark.anyio
SOON = 30.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def running_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (
        *((following, name) for name in ("ORDERS_EVERY_S", "LOOK_EVERY_S")),
        (fleet_control, "LOOK_EVERY_S"),
    ):
        monkeypatch.setattr(module, name, 0.01)


class FakeModels:
    """Models that change by being asked; `failures` are raised first, one after the other."""

    def __init__(self, *failures: ServiceError) -> None:
        self.failures = list(failures)
        self.asked: list[tuple[str, str]] = []

    async def load(self, name: str) -> Loaded:
        self._ask("load", name)
        return Loaded(name, "b" * 64, "a" * 64)

    async def unload(self, name: str) -> None:
        self._ask("unload", name)

    def _ask(self, action: str, name: str) -> None:
        self.asked.append((action, name))
        if self.failures:
            raise self.failures.pop(0)


class OneFleet:
    """Workers that follow orders, and the control of them."""

    def __init__(self, fleet: Fleet, orders: Orders) -> None:
        self.fleet, self.orders, self.refreshed = fleet, orders, 0
        self.control = FleetControl(fleet, orders, self._refresh)
        self.tasks: list[asyncio.Task[None]] = []

    async def _refresh(self) -> None:
        self.refreshed += 1

    async def start(self, name: str, *failures: ServiceError) -> FakeModels:
        models = FakeModels(*failures)
        await self.fleet.announce(name, 1.0, [])
        loop = follow_orders(self.orders, name, models)  # type: ignore[arg-type]
        self.tasks.append(asyncio.create_task(loop))
        return models


@pytest.fixture
async def fleet(running_redis: RedisServer) -> AsyncIterator[OneFleet]:
    running_redis.flush()
    async with connect(running_redis.url) as client:
        fleet = OneFleet(Fleet(client), Orders(client))
        yield fleet
        for task in fleet.tasks:
            task.cancel()
        await asyncio.gather(*fleet.tasks, return_exceptions=True)


async def test_every_worker_follows_an_order_once(fleet: OneFleet) -> None:
    one, other = await fleet.start("w1"), await fleet.start("w2")
    assert await fleet.control.load("digits") == Loaded("digits", "b" * 64, "a" * 64, 2)
    await asyncio.sleep(0.1)
    assert one.asked == other.asked == [("load", "digits")]
    await fleet.control.unload("digits")
    await fleet.control.load("digits")
    assert one.asked == [("load", "digits"), ("unload", "digits"), ("load", "digits")]
    assert fleet.refreshed == 3


async def test_one_worker_that_loads_is_enough_and_the_others_reasons_are_told(
    fleet: OneFleet,
) -> None:
    await fleet.start("good")
    await fleet.start("full", NotEnoughMemory("it does not fit"))
    found = await fleet.control.load("digits")
    assert (found.workers, found.failures) == (1, ("full: it does not fit",))
    # A worker that starts later follows what stands.
    late = await fleet.start("late")
    async with asyncio.timeout(SOON):
        while not late.asked:
            await asyncio.sleep(0.01)
    assert late.asked == [("load", "digits")]


@pytest.mark.parametrize(
    "failure", [CheckpointRefused("damaged"), UnknownModel("nobody"), NotEnoughMemory("too large")]
)
async def test_what_no_worker_can_load_fails_as_it_did_there_and_is_not_ordered_any_more(
    fleet: OneFleet, failure: ServiceError
) -> None:
    await fleet.start("w1", failure)
    await fleet.start("w2", failure)
    with pytest.raises(type(failure), match=failure.detail):
        await fleet.control.load("digits")
    assert await fleet.orders.latest() == {}
    assert fleet.refreshed == 0


async def test_an_order_that_came_later_is_not_withdrawn(fleet: OneFleet) -> None:
    first = await fleet.orders.give("digits", "load")
    later = await fleet.orders.give("digits", "unload")
    await fleet.orders.withdraw("digits", first)
    assert await fleet.orders.latest() == {"digits": later}


async def test_a_worker_that_has_gone_is_not_waited_for(fleet: OneFleet) -> None:
    await fleet.start("good")
    await fleet.fleet.announce("silent", 1.0, [])
    loading = asyncio.create_task(fleet.control.load("digits"))
    await asyncio.sleep(0.2)
    assert not loading.done()
    await fleet.fleet.retire("silent")
    async with asyncio.timeout(SOON):
        assert (await loading).workers == 1


async def test_nobody_to_follow_an_order_is_told(
    fleet: OneFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotReady):
        await fleet.control.load("digits")
    assert await fleet.orders.latest() == {}
    monkeypatch.setattr(fleet_control, "WITHIN_S", 0.1)
    await fleet.fleet.announce("silent", 1.0, [])
    with pytest.raises(DeadlineExceeded):
        await fleet.control.load("digits")


def write(root: Path, name: str, text: str) -> None:
    """Write what is enough of a checkpoint for those who look at its files."""
    (root / name).mkdir(exist_ok=True)
    (root / name / MANIFEST).write_text(text)


@asynccontextmanager
async def watching(root: Path, models: FakeModels) -> AsyncIterator[None]:
    task = asyncio.create_task(watch_folder(root, models, states(root)))  # type: ignore[arg-type]
    await asyncio.sleep(0.1)
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def heard(models: FakeModels, count: int) -> list[str]:
    async with asyncio.timeout(SOON):
        while len(models.asked) < count:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    return [name for _, name in models.asked]


async def test_what_is_new_or_changed_is_loaded_once(tmp_path: Path) -> None:
    write(tmp_path, "old", "{}")
    models = FakeModels()
    async with watching(tmp_path, models):
        assert not models.asked
        write(tmp_path, "new", "{}")
        assert await heard(models, 1) == ["new"]
        write(tmp_path, "old", "{ }")
        assert await heard(models, 2) == ["new", "old"]
        # A folder that vanishes takes no model with it.
        (tmp_path / "old" / MANIFEST).unlink()
        assert await heard(models, 2) == ["new", "old"]


async def test_what_is_refused_is_tried_again_when_it_changes(tmp_path: Path) -> None:
    models = FakeModels(CheckpointRefused("half of it"))
    async with watching(tmp_path, models):
        write(tmp_path, "new", "{}")
        assert await heard(models, 1) == ["new"]
        (tmp_path / "new" / "weights.safetensors").write_bytes(b"1")
        assert await heard(models, 2) == ["new", "new"]
        (tmp_path / "new" / "calibration.json").write_bytes(b"1")
        assert await heard(models, 3) == ["new"] * 3


async def test_where_memory_is_short_it_is_tried_again(tmp_path: Path) -> None:
    models = FakeModels(NotEnoughMemory("full", 0))
    async with watching(tmp_path, models):
        write(tmp_path, "new", "{}")
        assert await heard(models, 2) == ["new", "new"]
