"""The skeleton that all processes share: what it repeats, and the order in which it stops."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI
from process_harness import SOON, RunningJob, running, until

from service.api.app import create_monitor
from service.errors import ServeError, StoreUnavailable
from service.process import Process, Resources
from service.settings import Settings
from service.store.bounds import Bounds
from service.store.memory import MemoryStore

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Swept(MemoryStore):
    """A store that adds each of its sweeps to a list."""

    def __init__(self, seen: list[str]) -> None:
        super().__init__(Bounds.of(Settings()))
        self.seen = seen

    async def sweep(self) -> None:
        self.seen.append("sweep")


class Recorded(Process):
    """A process without work, which records what it is asked to do."""

    name = "test"
    upkeep_every_s = 0.001

    def __init__(self, resources: Resources) -> None:
        super().__init__(resources)
        self.asked: list[str] = []
        self.store = Swept(self.asked)
        self.faults: list[Exception] = []

    def application(self) -> FastAPI:
        return create_monitor(self.settings, self.gate, self.resources.registry)

    async def start(self) -> None:
        self.asked.append("start")
        self.ready(self.url)

    async def upkeep(self) -> None:
        self.asked.append("upkeep")
        if self.faults:
            raise self.faults.pop(0)

    async def finish(self) -> None:
        self.asked.append("finish")

    def hurry(self) -> None:
        self.asked.append("hurry")
        super().hurry()


@asynccontextmanager
async def recorded(**options: float) -> AsyncIterator[RunningJob[Recorded]]:
    """Such a process after some rounds of upkeep."""
    kind = type("Chosen", (Recorded,), options)
    async with running(kind, Settings(drain_s=SOON)) as found:
        await until(lambda: found.process.asked.count("upkeep") > 3)
        yield found


async def test_the_store_is_swept_once_in_every_round_of_upkeep() -> None:
    async with recorded() as (process, _):
        pass
    rounds = process.asked.count("upkeep")
    assert process.asked == ["start", *["upkeep", "sweep"] * rounds, "finish"]


async def test_a_store_that_is_to_be_swept_more_rarely_is() -> None:
    async with recorded(sweep_every_s=1e6) as (process, _):
        pass
    rounds = process.asked.count("upkeep")
    assert process.asked == ["start", "upkeep", "sweep", *["upkeep"] * (rounds - 1), "finish"]


async def test_upkeep_goes_on_after_an_outage_of_the_store() -> None:
    async with recorded() as (process, life):
        process.faults = [StoreUnavailable("away"), StoreUnavailable("still away")]
        await until(lambda: not process.faults)
        rounds = process.asked.count("upkeep")
        await until(lambda: process.asked.count("upkeep") > rounds + 1)
        assert not life.done()
    # The fleet is swept for all the same.
    assert process.asked.count("upkeep") == process.asked.count("sweep")


async def test_upkeep_goes_on_after_an_error_that_nobody_expected(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with recorded() as (process, life):
        process.faults = [KeyError("odd"), KeyError("odd")]
        await until(lambda: not process.faults)
        rounds = process.asked.count("upkeep")
        await until(lambda: process.asked.count("upkeep") > rounds + 1)
        assert not life.done()
    assert caplog.text.count("upkeep failed, and goes on") == 1


async def test_an_error_that_cannot_be_survived_stops_the_process_in_order() -> None:
    async with recorded() as (process, life):
        with process.gate.enter():
            process.faults = [ServeError("the worker has died")]
            # Who waits for an answer is sent home at once: there will be none.
            await until(process.gate.closed.is_set)
            assert process.asked[-1] == "upkeep"
        with pytest.raises(ServeError, match="worker has died"):
            await life
    assert process.asked[-1] == "finish"


async def test_upkeep_goes_on_while_requests_finish() -> None:
    async with recorded() as (process, life):
        with process.gate.enter():
            os.kill(os.getpid(), signal.SIGTERM)
            await until(process.stopping.is_set)
            rounds = process.asked.count("upkeep")
            await until(lambda: process.asked.count("upkeep") > rounds + 1)
            async with httpx.AsyncClient() as client:
                assert (await client.get(f"{process.url}/readyz")).json()["code"] == "draining"
        await life
    assert process.asked[-1] == "finish"
    assert "hurry" not in process.asked


async def test_a_second_signal_waits_for_nobody() -> None:
    async with recorded() as (process, _):
        with process.gate.enter():
            os.kill(os.getpid(), signal.SIGTERM)
            await until(process.stopping.is_set)
            assert not process.gate.closed.is_set()
            os.kill(os.getpid(), signal.SIGTERM)
            await until(process.gate.closed.is_set)
    assert process.asked[-1] == "finish"
    assert "hurry" in process.asked
