"""The gate lets requests in once the service is ready, and none while it stops."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

import anyio

from service.errors import Draining, NotReady

_LOADING_RETRY_S = 2
_DRAINING_RETRY_S = 10


class Phase(Enum):
    """A phase in the life of a process."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"


def draining() -> Draining:
    """Return the error for requests that come while the service stops."""
    return Draining("the service is stopping", _DRAINING_RETRY_S)


class Gate:
    """Lets requests in while the service is ready, and counts those inside.

    A stop goes: `drain`, wait for `idle`; what has not left in time is told by `closed`, and who
    only watches is told by `draining`. `awaited` is what has to happen before it is ready.
    """

    def __init__(self, awaited: str = "models are loading") -> None:
        self._awaited = awaited
        self._phase = Phase.LOADING
        self._inside = 0
        self._idle = anyio.Event()
        self.draining, self.closed = anyio.Event(), anyio.Event()
        self._closing = set[asyncio.Future[None]]()

    def open(self) -> None:
        """Models are loaded. A drain that has begun goes on."""
        if self._phase is Phase.LOADING:
            self._phase = Phase.READY

    def drain(self) -> None:
        """Let nobody in any more."""
        self._phase = Phase.DRAINING
        self.draining.set()
        if not self._inside:
            self._idle.set()

    def close(self) -> None:
        """Send home whoever is still inside."""
        self.closed.set()
        for future in self._closing:
            if not future.done():
                future.set_result(None)

    @contextmanager
    def closing(self) -> Iterator[asyncio.Future[None]]:
        """Yield a future that is done once the gate is closed; it costs less than a task that waits
        for `closed`."""
        future = asyncio.get_running_loop().create_future()
        self._closing.add(future)
        if self.closed.is_set():
            future.set_result(None)
        try:
            yield future
        finally:
            self._closing.discard(future)

    def check(self) -> None:
        """Raises NotReady or Draining."""
        match self._phase:
            case Phase.LOADING:
                raise NotReady(self._awaited, _LOADING_RETRY_S)
            case Phase.DRAINING:
                raise draining()

    def check_loaded(self) -> None:
        """Raises NotReady; what is known of jobs is told in a drain too."""
        if self._phase is Phase.LOADING:
            self.check()

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Be inside for the duration. Raises NotReady or Draining."""
        self.check()
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            if self._phase is Phase.DRAINING and not self._inside:
                self._idle.set()

    async def idle(self) -> None:
        """Wait, in a drain, until nobody is inside."""
        await self._idle.wait()
