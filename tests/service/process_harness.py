"""A process as `mulan` runs it, in the interpreter of the tests."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Generic, NamedTuple, TypeVar

from service.hosting import listen
from service.process import Process, Resources, host
from service.settings import Settings
from service.telemetry.tracing import Tracing

SOON = 60.0

Kind = TypeVar("Kind", bound=Process)


class RunningJob(NamedTuple, Generic[Kind]):
    """A process, and the task that ends when it does."""

    process: Kind
    life: asyncio.Task[None]


@asynccontextmanager
async def running(kind: type[Kind], settings: Settings) -> AsyncIterator[RunningJob[Kind]]:
    """Run a process of this kind; it is stopped in the end, unless it has stopped before."""
    made: list[Kind] = []

    class Kept(kind):
        def __init__(self, resources: Resources) -> None:
            super().__init__(resources)
            made.append(self)

    listener = listen("127.0.0.1", 0)
    life = asyncio.create_task(host(Kept, settings, time.monotonic(), listener, Tracing()))
    await until(lambda: bool(made))
    try:
        yield RunningJob(made[0], life)
    finally:
        made[0].stopping.set()
        if not life.done():
            await life


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds. Raises TimeoutError."""
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0.002)
