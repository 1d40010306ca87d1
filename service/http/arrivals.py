"""Connections whose next request has not arrived whole: how many there are, and for how long."""

from collections.abc import Callable
from enum import Enum
from math import inf
from typing import NamedTuple, Protocol

from service.errors import Draining
from service.settings import Settings


class Phase(Enum):
    """How far a request has arrived; with none, the connection is idle."""

    IDLE = "idle"
    HEADER = "header"
    BODY = "body"


class Arriving(Protocol):
    """A connection that a request, or the rest of one, is expected from."""

    def give_up(self, how: str) -> None:
        """Wait no longer; `how` says how the request did not arrive: "within 10 s"."""

    def drain(self, error: Draining) -> None:
        """Refuse the request whose body is still arriving, if there is one."""


class _Wait(NamedTuple):
    end: float
    seconds: float


class Arrivals:
    """Who is waited for, and until when. Past `max_pending_connections`, the connection that has
    waited longest makes room for the latest."""

    def __init__(self, settings: Settings) -> None:
        self._seconds = {
            # The server's own limit holds, and is longer.
            Phase.IDLE: inf,
            Phase.HEADER: settings.header_timeout_s,
            Phase.BODY: settings.body_timeout_s,
        }
        self._most = settings.max_pending_connections
        # In the order in which they began to wait.
        self._waits: dict[Arriving, _Wait] = {}

    def expect(self, connection: Arriving, phase: Phase, now: float) -> None:
        """Wait for what `connection` owes, as long as the phase may last; `now` is the loop's."""
        seconds = self._seconds[phase]
        self._waits.pop(connection, None)
        self._waits[connection] = _Wait(now + seconds, seconds)
        if len(self._waits) > self._most:
            oldest = next(iter(self._waits))
            del self._waits[oldest]
            oldest.give_up("before others needed its place")

    def arrived(self, connection: Arriving) -> None:
        """Wait for `connection` no longer."""
        self._waits.pop(connection, None)

    def expire(self, now: float) -> None:
        """Give up those whose time is over; `now` is the loop's."""
        late = [(connection, wait) for connection, wait in self._waits.items() if wait.end <= now]
        for connection, wait in late:
            del self._waits[connection]
            connection.give_up(f"within {wait.seconds:g} s")

    def drain(self, error: Callable[[], Draining]) -> None:
        """Refuse every request whose body is still arriving."""
        for connection in list(self._waits):
            connection.drain(error())
