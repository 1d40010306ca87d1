"""Orders to the workers of a fleet: which models to load and to unload, and what each worker says.

The latest order of a name stays in Redis, so that a worker that starts later follows it too. What
the workers say is kept for a while.
"""

import logging
import time
import uuid
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from redis.asyncio import Redis

from service.store import keys
from service.store.connection import NULL_OBSERVER, round_trip
from service.store.scripts import Scripts
from service.telemetry.observers import StoreObserver

logger = logging.getLogger(__name__)

# Seconds that the workers' reports on an order are kept.
REPORTED_S = 3600


class Order(BaseModel):
    """An order, given at a time in seconds since the epoch."""

    model_config = ConfigDict(frozen=True)

    id: str
    action: Literal["load", "unload"]
    given_at: float


class Report(BaseModel):
    """The report of one worker on an order: the checkpoint that it serves now and the one before,
    or the code and the line of the error that kept it from that."""

    model_config = ConfigDict(frozen=True)

    checkpoint: str | None = None
    before: str | None = None
    code: str = ""
    detail: str = ""


class Orders:
    """The orders on one Redis. Every method may raise StoreUnavailable."""

    def __init__(self, client: Redis, observer: StoreObserver = NULL_OBSERVER) -> None:
        self._client, self._observer = client, observer
        self._scripts = Scripts(client, observer)

    async def give(self, name: str, action: Literal["load", "unload"]) -> Order:
        """Order every worker to load or to unload the model `name`."""
        order = Order(id=uuid.uuid4().hex, action=action, given_at=time.time())
        with round_trip("order", self._observer):
            await self._client.hset(keys.ORDERS, name, order.model_dump_json())
        return order

    async def latest(self) -> dict[str, Order]:
        """Return the latest order of each name."""
        with round_trip("orders", self._observer):
            found: Any = await self._client.hgetall(keys.ORDERS)
        orders = {name.decode(): _read(Order, text) for name, text in found.items()}
        return {name: order for name, order in orders.items() if order is not None}

    async def withdraw(self, name: str, order: Order) -> None:
        """Forget an order that no worker could follow, unless a later one has taken its place."""
        await self._scripts.run("withdraw", name, order.model_dump_json())

    async def report(self, order: Order, worker: str, report: Report) -> None:
        """Say what became of an order at one worker."""
        key = keys.ORDER_REPORTS + order.id
        with round_trip("order_report", self._observer):
            async with self._client.pipeline(transaction=False) as pipe:
                pipe.hset(key, worker, report.model_dump_json())
                pipe.expire(key, REPORTED_S)
                await pipe.execute()

    async def reports(self, order: Order) -> dict[str, Report]:
        """Return what the workers have said so far, by their names."""
        with round_trip("order_reports", self._observer):
            found: Any = await self._client.hgetall(keys.ORDER_REPORTS + order.id)
        reports = {name.decode(): _read(Report, text) for name, text in found.items()}
        return {name: report for name, report in reports.items() if report is not None}


def _read(kind: type[BaseModel], text: bytes) -> Any:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        logger.error("an order, or a report on one, cannot be read: %s", error)
        return None
