"""Connections whose clients owe something: how many there are, and for how long."""

from collections.abc import Callable
from enum import Enum
from math import inf
from typing import NamedTuple, Protocol

from service.errors import Draining
from service.settings import Settings

# Connections that are ended in one go; each is answered, and others wait meanwhile.
_AT_ONCE = 50


class Phase(Enum):
    """The phase of a connection: it waits for a request, for more of one, or for its client to take
    an answer."""

    IDLE = "idle"
    HEADER = "header"
    BODY = "body"
    ANSWER = "answer"


class Arriving(Protocol):
    """A connection whose client owes something."""

    def has_moved(self) -> bool:
        """Whether it has begun to pay since asked last, and may have as much time again."""

    def give_up(self, how: str) -> None:
        """Wait no longer; `how` says how the request did not arrive: "within 10 s"."""

    def drain(self, error: Draining) -> None:
        """Refuse the request whose body is still arriving, if there is one."""


class _Wait(NamedTuple):
    phase: Phase
    end: float


class Arrivals:
    """The connections that are waited for, each with its deadline. Past
    `max_pending_connections`, the connection that has waited longest makes room for the latest."""

    def __init__(self, settings: Settings) -> None:
        self._seconds = {
            # The server's own limit holds, and is longer.
            Phase.IDLE: inf,
            Phase.HEADER: settings.header_timeout_s,
            Phase.BODY: settings.body_timeout_s,
            Phase.ANSWER: settings.answer_timeout_s,
        }
        self._most = settings.max_pending_connections
        # In the order in which they began to wait.
        self._waits: dict[Arriving, _Wait] = {}

    def expect(self, connection: Arriving, phase: Phase, now: float) -> None:
        """Wait for what `connection` owes, as long as the phase may last; `now` is the loop's."""
        self._waits.pop(connection, None)
        self._waits[connection] = _Wait(phase, now + self._seconds[phase])
        if len(self._waits) > self._most:
            oldest = next(iter(self._waits))
            del self._waits[oldest]
            oldest.give_up("before others needed its place")

    def arrived(self, connection: Arriving) -> None:
        """Wait for `connection` no longer."""
        self._waits.pop(connection, None)

    def expire(self, now: float) -> None:
        """Give up some of those whose time is over; `now` is the loop's."""
        late = [(connection, wait) for connection, wait in self._waits.items() if wait.end <= now]
        for connection, wait in late[:_AT_ONCE]:
            if connection.has_moved():
                self.expect(connection, wait.phase, now)
            else:
                del self._waits[connection]
                connection.give_up(f"within {self._seconds[wait.phase]:g} s")

    def drain(self, error: Callable[[], Draining]) -> None:
        """Refuse some of the requests whose bodies are still arriving."""
        uploads = [one for one, wait in self._waits.items() if wait.phase is Phase.BODY]
        for connection in uploads[:_AT_ONCE]:
            del self._waits[connection]
            connection.drain(error())
