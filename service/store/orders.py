"""Orders to the workers of a fleet: which models to load and to unload, and what each worker says.

The latest order of a name stays in Redis, so that a worker that starts later follows it too. What
the workers say is kept for a while.
"""

import time
import uuid
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict
from redis.asyncio import Redis

from service.store import keys
from service.store.connection import NULL_OBSERVER
from service.store.scripts import Scripts
from service.store.shards import ALONE, Shard
from service.telemetry.observers import StoreObserver

DocumentT = TypeVar("DocumentT", bound=BaseModel)
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
    """The orders of one store, in its first shard. Every method may raise StoreUnavailable."""

    def __init__(
        self, client: Redis, observer: StoreObserver = NULL_OBSERVER, shard: Shard = ALONE
    ) -> None:
        self._scripts = Scripts(client, observer, shard=shard)
        self._orders = self._scripts.name(keys.ORDERS)

    async def give(self, name: str, action: Literal["load", "unload"]) -> Order:
        """Order every worker to load or to unload the model `name`."""
        order = Order(id=uuid.uuid4().hex, action=action, given_at=time.time())
        text = order.model_dump_json()
        await self._scripts.command("order", "HSET", self._orders, name, text)
        return order

    async def latest(self) -> dict[str, Order]:
        """Return the latest order of each name; those that cannot be read are left out."""
        return await self._read(Order, "orders", self._orders)

    async def withdraw(self, name: str, order: Order) -> None:
        """Forget an order that no worker could follow, unless a later one has taken its place."""
        await self._scripts.run("withdraw", name, order.model_dump_json())

    async def report(self, order: Order, worker: str, report: Report) -> None:
        """Say what became of an order at one worker."""
        key = self._scripts.name(keys.ORDER_REPORTS + order.id)
        text = report.model_dump_json()
        await self._scripts.command("order_report", "HSET", key, worker, text)
        await self._scripts.command("order_report", "EXPIRE", key, REPORTED_S)

    async def reports(self, order: Order) -> dict[str, Report]:
        """Return what the workers have said so far, by their names."""
        key = self._scripts.name(keys.ORDER_REPORTS + order.id)
        return await self._read(Report, "order_reports", key)

    async def _read(self, kind: type[DocumentT], operation: str, key: str) -> dict[str, DocumentT]:
        flat: Any = await self._scripts.command(operation, "HGETALL", key)
        found = {}
        for name, text in zip(flat[::2], flat[1::2], strict=True):
            try:
                found[name.decode()] = kind.model_validate_json(text)
            except ValueError as error:
                where = f"{key} {name.decode(errors='replace')}"
                self._scripts.damage.tell("order", where, str(error).splitlines()[0])
        return found
