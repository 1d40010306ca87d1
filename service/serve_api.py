"""The process `mulan api`: any number of them share a Redis with any number of workers."""

import logging
from contextlib import suppress

from models.schema.errors import CheckpointError
from service.errors import StoreUnavailable
from service.process import ApiProcess, Resources, run
from service.settings import Settings
from service.store.opening import require_shared
from service.store.subscription import WAITING

logger = logging.getLogger(__name__)


def serve(settings: Settings, began: float) -> None:
    """Serve until a signal comes; `began` is when the process began, on the monotonic clock, in
    seconds.

    Raises ServeError if the port cannot be had, or Redis is not chosen or too old.
    """
    run(Api, settings, settings.port, began)


class Api(ApiProcess):
    """The API of a fleet, whose catalogue has the models that workers announce."""

    name = "api"
    awaited = "no worker serves a model yet"
    channels = WAITING

    def __init__(self, resources: Resources) -> None:
        super().__init__(resources)
        shared = require_shared(resources.shared)
        self.fleet, self.orders, self.opened = shared.fleet, shared.orders, False
        self._unloaded = list[str]()
        self.take_control()

    async def start(self) -> None:
        shared = require_shared(self.shared)
        logger.info("listening on %s, looking for workers on %s", self.url, shared.address)
        await shared.wait_until_reachable()

    async def upkeep(self) -> None:
        before = {model.name for model in self.catalogue}
        await self.refresh()
        now = {model.name for model in self.catalogue}
        if now and not self.opened:
            self.opened = True
            self.ready(self.url)
        elif now != before:
            logger.info("models that are served now: %s", ", ".join(sorted(now)) or "nothing")
        await self.measure_queue(self.fleet.workers)

    async def refresh(self) -> None:
        """Read which models workers announce, and which were unloaded. Raises StoreUnavailable
        where no shard answers."""
        if self.settings.model_control:
            # Where the shard that has the orders is away, the last ones that were read hold.
            with suppress(StoreUnavailable):
                orders = await self.orders.latest()
                self._unloaded = [one for one, order in orders.items() if order.action == "unload"]
        try:
            self.catalogue.replace(await self.fleet.models(), self._unloaded)
        except CheckpointError as error:
            logger.error("a worker announces a model that cannot be served: %s", error)

    async def finish(self) -> None:
        """Do nothing: the workers of the fleet go on."""
