"""`mulan api`: the API of a fleet; any number of them share a Redis with any number of workers."""

import asyncio
import logging
import socket
import time

from redis.asyncio import Redis

from models.errors import CheckpointError
from service.api.context import Context
from service.api.gate import Gate
from service.catalogue import Catalogue
from service.errors import StoreUnavailable
from service.hosting import Process, listen, runner
from service.settings import Settings
from service.store.connection import connect, reached, shown
from service.store.fleet import Fleet
from service.store.redis import Bounds, RedisStore

logger = logging.getLogger(__name__)

# Seconds between looks at which workers there are; each is a few small reads.
_LOOK_EVERY = 1.0


def serve(settings: Settings, began: float) -> None:
    """Serve until a signal comes; `began` is when the process did, on the monotonic clock.

    Raises ServeError: a port that cannot be had, a Redis that is too old.
    """
    with listen(settings.host, settings.port) as listener, runner() as loop:
        loop.run(_run(settings, listener, began))


async def _run(settings: Settings, listener: socket.socket, began: float) -> None:
    async with connect(settings.redis_url) as client:
        await _Api(settings, client, listener, began).run()


class _Api(Process):
    """The API around a Redis store; its catalogue is what workers announce."""

    def __init__(
        self, settings: Settings, client: Redis, listener: socket.socket, began: float
    ) -> None:
        self.client, self.fleet, self.opened = client, Fleet(client), False
        self.store = RedisStore(client, Bounds.of(settings))
        gate = Gate("no worker serves a model yet")
        super().__init__(Context(settings, self.store, Catalogue(), gate), listener, began)

    async def work(self) -> None:
        """Follow the workers, and keep the queue in order also where there are none."""
        redis = shown(self.settings.redis_url)
        logger.info("listening on %s, looking for workers on %s", self.url, redis)
        await reached(self.client)
        sweep_every, swept = self.settings.lease_s / 3, time.monotonic()
        while True:
            try:
                await self._look()
                if time.monotonic() - swept >= sweep_every:
                    swept = time.monotonic()
                    await self.store.sweep()
            except StoreUnavailable as error:
                logger.warning("%s", error)
            await asyncio.sleep(_LOOK_EVERY)

    async def finish(self) -> None:
        """Nothing is left to wait for."""
        await self.store.close()

    async def _look(self) -> None:
        before = {model.name for model in self.catalogue}
        try:
            self.catalogue.replace(await self.fleet.present())
        except CheckpointError as error:
            logger.error("a worker announces what cannot be served: %s", error)
        now = {model.name for model in self.catalogue}
        if now and not self.opened:
            self.opened = True
            self.open()
        elif now != before:
            logger.info("served now: %s", ", ".join(sorted(now)) or "nothing")
