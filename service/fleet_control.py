"""The control of the models of a fleet, whose workers follow orders in Redis."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

from service.control import Loaded
from service.errors import (
    CheckpointRefused,
    ComputationFailed,
    DeadlineExceeded,
    NotEnoughMemory,
    NotReady,
    ServiceError,
    UnknownModel,
)
from service.store.fleet import Fleet
from service.store.orders import Order, Orders, Report

# Seconds between two looks for reports, and until workers that are silent are not waited for.
LOOK_EVERY_S = 0.2
WITHIN_S = 600.0
_RETRY_S = 5
_ERRORS: dict[str, type[ServiceError]] = {
    error.code: error for error in (UnknownModel, CheckpointRefused, NotEnoughMemory)
}


class FleetControl:
    """Loads and unloads models on all workers of a fleet, as `ModelControl` describes.

    An order that a worker has followed stands: a worker that starts later follows it too. `refresh`
    brings the catalogue of the process up to date. Every method may raise StoreUnavailable,
    NotReady where no worker is there, and DeadlineExceeded where none has answered in time.
    """

    def __init__(
        self, fleet: Fleet, orders: Orders, refresh: Callable[[], Awaitable[None]]
    ) -> None:
        self._fleet, self._orders, self._refresh = fleet, orders, refresh

    async def load(self, name: str) -> Loaded:
        """Have every worker load the model, and return once all have said what became of it."""
        reports = await self._order(name, "load")
        done = [report for report in reports.values() if report.checkpoint]
        failures = tuple(
            f"{worker}: {report.detail}" for worker, report in reports.items() if report.code
        )
        checkpoint = done[0].checkpoint if done else None
        if checkpoint is None:
            raise ComputationFailed("no worker says which checkpoint it has loaded")
        return Loaded(name, checkpoint, done[0].before, len(done), failures)

    async def unload(self, name: str) -> None:
        """Have every worker unload the model."""
        await self._order(name, "unload")

    async def _order(self, name: str, action: Literal["load", "unload"]) -> Mapping[str, Report]:
        """Give an order, and return the reports, of which at least one is good. Raises the error
        of the first worker where all have failed."""
        if not await self._fleet.names():
            raise NotReady("no worker is there to follow the order", _RETRY_S)
        order = await self._orders.give(name, action)
        reports = await self._reports(order)
        failed = [report for report in reports.values() if report.code]
        if len(failed) == len(reports):
            await self._orders.withdraw(name, order)
            raise _error(failed[0])
        await self._refresh()
        return reports

    async def _reports(self, order: Order) -> Mapping[str, Report]:
        """Wait until every worker that lives has reported, or for as long as that may take."""
        deadline = time.monotonic() + WITHIN_S
        while True:
            reports = await self._orders.reports(order)
            late = time.monotonic() > deadline
            if reports and (late or not await self._fleet.names() - reports.keys()):
                return reports
            if late:
                raise DeadlineExceeded(f"no worker has answered within {WITHIN_S:.0f} s")
            await asyncio.sleep(LOOK_EVERY_S)


def _error(report: Report) -> ServiceError:
    return _ERRORS.get(report.code, ComputationFailed)(report.detail)
