"""One process's subscription: what happens to jobs elsewhere, as it happens.

A message may be lost, so whoever waits also looks from time to time; when the subscription is
there again after it was not, everybody is made to look.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from service.errors import StoreUnavailable
from service.store.keys import ARRIVALS, CANCELLED, ENDS, NEWS
from service.store.retry import cancel_all
from service.store.rules import Cancellations

logger = logging.getLogger(__name__)

CHANNELS = (ARRIVALS, ENDS, CANCELLED, NEWS)
# Seconds: of silence before Redis is asked whether it is there, and before another try.
SILENCE_S = 5.0
AGAIN_S = 0.5
SUBSCRIBED_WITHIN_S = 4.0


class Subscription:
    """Listens from its first use until `close`. All methods belong to one event loop.

    `arrival` is set when a job may wait for a worker.
    """

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._task: asyncio.Task[None] | None = None
        self._subscribed = asyncio.Event()
        self._waiting: dict[str, list[asyncio.Event]] = {}
        self._watching: dict[str, list[asyncio.Event]] = {}
        self._listeners: WeakSet[Cancellations] = WeakSet()
        self.arrival = asyncio.Event()

    def start(self) -> None:
        """Begin to listen, if it has not begun."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="ear of the store")

    async def listening(self) -> None:
        """Wait until everything from now on is heard. Raises StoreUnavailable."""
        self.start()
        try:
            async with asyncio.timeout(SUBSCRIBED_WITHIN_S):
                await self._subscribed.wait()
        except TimeoutError:
            raise StoreUnavailable("the queue cannot be listened to") from None

    @contextlib.contextmanager
    def ended(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set when that job may have ended."""
        with self._waits(self._waiting, job_id) as event:
            yield event

    @contextlib.contextmanager
    def turned(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set when that job may have advanced, or ended."""
        with self._waits(self._watching, job_id) as event:
            yield event

    def cancellations(self) -> Cancellations:
        """Hears of jobs that were cancelled while they ran."""
        self.start()
        listener = Cancellations()
        self._listeners.add(listener)
        return listener

    async def close(self) -> None:
        """Listen no more."""
        if self._task is not None:
            await cancel_all(self._task)
            self._task = None

    @contextlib.contextmanager
    def _waits(self, those: dict[str, list[asyncio.Event]], job_id: str) -> Iterator[asyncio.Event]:
        self.start()
        event = asyncio.Event()
        events = those.setdefault(job_id, [])
        events.append(event)
        try:
            yield event
        finally:
            events.remove(event)
            if not events:
                del those[job_id]

    async def _run(self) -> None:
        while True:
            try:
                async with self._client.pubsub() as subscription:
                    await subscription.subscribe(*CHANNELS)
                    await self._hear(subscription)
            except (RedisError, OSError) as error:
                logger.debug("the subscription was lost: %r", error)
            self._subscribed.clear()
            await asyncio.sleep(AGAIN_S)

    async def _hear(self, subscription: PubSub) -> None:
        asked = False
        while True:
            message = await subscription.get_message(timeout=SILENCE_S)
            if message is not None:
                asked = False
                self._on_message(message)
            elif asked:
                raise TimeoutError("no answer to a ping")
            else:
                asked = True
                await subscription.ping()

    def _on_message(self, message: dict[str, Any]) -> None:
        match message["type"], message["channel"]:
            case "subscribe", _ if message["data"] == len(CHANNELS):
                self._subscribed.set()
                self._wake_all()
            case "message", channel if channel == ARRIVALS.encode():
                self.arrival.set()
            case "message", channel if channel == ENDS.encode():
                self._wake(message["data"].decode(), self._waiting, self._watching)
            case "message", channel if channel == NEWS.encode():
                self._wake(message["data"].decode(), self._watching)
            case "message", channel if channel == CANCELLED.encode():
                for listener in self._listeners:
                    listener.tell(message["data"].decode())

    def _wake(self, job_id: str, *those: dict[str, list[asyncio.Event]]) -> None:
        for events in those:
            for event in events.get(job_id, ()):
                event.set()

    def _wake_all(self) -> None:
        self.arrival.set()
        for job_id in (*self._waiting, *self._watching):
            self._wake(job_id, self._waiting, self._watching)
