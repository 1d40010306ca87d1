"""The subscription of a process to the channels of Redis, on which jobs of all processes appear.

A message may be lost, so those who wait also look from time to time. When the subscription is
restored after it was lost, all of them are woken to look.
"""

import asyncio
import contextlib
import logging
from collections.abc import Collection, Iterator
from typing import Any
from weakref import WeakSet

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from service.errors import StoreUnavailable
from service.store.connection import reason
from service.store.damage import Damage
from service.store.keys import ARRIVALS, CANCELLED, ENDS, NEWS, WAKE
from service.store.retry import cancel_all
from service.store.routes import is_astray
from service.store.rules import Cancellations
from service.store.shards import ALONE, Shard
from service.store.telling import tell_each_minute

logger = logging.getLogger(__name__)

# A process that claims jobs listens to some channels, and one that waits for jobs to the others.
CLAIMING, WAITING = (ARRIVALS, CANCELLED), (ENDS, NEWS)
CHANNELS = CLAIMING + WAITING
# Seconds of silence after which Redis is sent a ping.
SILENCE_S = 5.0
# Seconds before a subscription that was lost is restored.
AGAIN_S = 0.5
# Seconds that a claim waits for the subscription.
SUBSCRIBED_WITHIN_S = 4.0


class Subscription:
    """A subscription to one shard from its first use until `close`. All methods belong to one event
    loop.

    `arrival` is set when a job may be waiting for a worker, and `also` with it. One that listens to
    arrivals hears too what is told to the process `name` alone. Messages that are none are told as
    `damage`.
    """

    def __init__(
        self,
        client: Redis,
        channels: Collection[str],
        name: str,
        damage: Damage,
        shard: Shard = ALONE,
    ) -> None:
        own = (WAKE + name,) if ARRIVALS in channels else ()
        self._client = client
        self._channels = {shard.name(channel): channel for channel in (*channels, *own)}
        self._damage = damage
        self._task: asyncio.Task[None] | None = None
        self._subscribed = asyncio.Event()
        self._waiting: dict[str, list[asyncio.Event]] = {}
        self._watching: dict[str, list[asyncio.Event]] = {}
        self._expected: dict[str, asyncio.Event] = {}
        self._listeners: WeakSet[Cancellations] = WeakSet()
        self.arrival = asyncio.Event()
        self.also: asyncio.Event | None = None

    @property
    def holds(self) -> bool:
        """Whether all messages are received now."""
        return self._subscribed.is_set()

    def start(self) -> None:
        """Subscribe, unless that has begun."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="store subscription")

    async def wait_until_subscribed(self) -> None:
        """Wait until all messages from now on will be received. Raises StoreUnavailable."""
        self.start()
        try:
            async with asyncio.timeout(SUBSCRIBED_WITHIN_S):
                await self._subscribed.wait()
        except TimeoutError:
            raise StoreUnavailable("the queue cannot be reached (no subscription)") from None

    async def until(self, event: asyncio.Event, within_s: float) -> None:
        """Wait for an event of this subscription, or until it is time to look without one."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await event.wait()

    def expect(self, job_id: str) -> None:
        """Listen for the end of a job that is about to be put, if messages arrive now: who waits
        for it need not look before the first message. Needs `end_of` or `expect_no_more`."""
        if self._subscribed.is_set():
            event = self._expected[job_id] = asyncio.Event()
            self._waiting.setdefault(job_id, []).append(event)

    def expects(self, job_id: str) -> bool:
        """Whether all that was said of a job since before it was put has been heard."""
        return job_id in self._expected and not self._expected[job_id].is_set()

    def expect_no_more(self, job_id: str) -> None:
        """Listen no more for a job that nobody has waited for."""
        if event := self._expected.pop(job_id, None):
            self._remove(self._waiting, job_id, event)

    @contextlib.contextmanager
    def end_of(self, job_id: str) -> Iterator[asyncio.Event]:
        """Give an event that is set when this job may have ended."""
        with self._waits(self._waiting, job_id) as event:
            yield event

    @contextlib.contextmanager
    def change_of(self, job_id: str) -> Iterator[asyncio.Event]:
        """Give an event that is set when this job may have advanced or ended."""
        with self._waits(self._watching, job_id) as event:
            yield event

    def cancellations(self, listener: Cancellations | None = None) -> Cancellations:
        """Return the ids of running jobs that are cancelled, as that happens; to a `listener` that
        is given they are added."""
        self.start()
        listener = listener or Cancellations()
        self._listeners.add(listener)
        return listener

    async def close(self) -> None:
        """End the subscription."""
        if self._task is not None:
            await cancel_all(self._task)
            self._task = None

    @contextlib.contextmanager
    def _waits(self, those: dict[str, list[asyncio.Event]], job_id: str) -> Iterator[asyncio.Event]:
        self.start()
        event = asyncio.Event()
        those.setdefault(job_id, []).append(event)
        self.expect_no_more(job_id)
        try:
            yield event
        finally:
            self._remove(those, job_id, event)

    def _remove(
        self, those: dict[str, list[asyncio.Event]], job_id: str, event: asyncio.Event
    ) -> None:
        those[job_id].remove(event)
        if not those[job_id]:
            del those[job_id]

    async def _run(self) -> None:
        while True:
            try:
                async with self._client.pubsub() as channels:
                    await channels.subscribe(*self._channels)
                    await self._receive(channels)
            except (RedisError, OSError) as error:
                line = f"the subscription was lost: {reason(error)}"
                tell_each_minute(logger, logging.INFO, line)
            except Exception:
                logger.exception("the subscription was lost, and is made anew")
            self._subscribed.clear()
            await asyncio.sleep(AGAIN_S)

    async def _receive(self, channels: PubSub) -> None:
        asked = False
        while True:
            message = await channels.get_message(timeout=SILENCE_S)
            if is_astray(channels.connection):
                raise ConnectionError("the primary is elsewhere")
            if message is not None:
                asked = False
                self._on_message(message)
            elif asked:
                raise TimeoutError("no answer to a ping")
            else:
                asked = True
                await channels.ping()

    def _on_message(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            if message["data"] == len(self._channels):
                self._subscribed.set()
                self._wake_all()
        elif message["type"] == "message":
            channel, data = self._channels[message["channel"].decode()], message["data"]
            try:
                self._on_text(channel, data.decode())
            except UnicodeDecodeError as error:
                self._damage.tell("message", f"on {channel}", str(error))

    def _on_text(self, channel: str, text: str) -> None:
        if channel == ARRIVALS or channel.startswith(WAKE):
            self._arrived()
        elif channel == ENDS:
            self._wake(text, self._waiting, self._watching)
        elif channel == NEWS:
            self._wake(text, self._watching)
        elif channel == CANCELLED:
            for listener in self._listeners:
                listener.add(text)

    def _wake(self, job_id: str, *those: dict[str, list[asyncio.Event]]) -> None:
        for events in those:
            for event in events.get(job_id, ()):
                event.set()

    def _arrived(self) -> None:
        self.arrival.set()
        if self.also is not None:
            self.also.set()

    def _wake_all(self) -> None:
        self._arrived()
        for job_id in (*self._waiting, *self._watching):
            self._wake(job_id, self._waiting, self._watching)
