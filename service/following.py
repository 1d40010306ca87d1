"""A worker's part in changes of models: it follows the orders of a fleet, and watches its folder.

Both go on until they are cancelled. A load that fails is reported, and changes nothing.
"""

import asyncio
import logging
from functools import partial
from pathlib import Path

from models.anomaly.ranked import CALIBRATION
from models.files.shelf import manifests
from models.schema.errors import CheckpointError
from models.schema.manifest import MANIFEST, WEIGHTS
from service.background import in_background
from service.errors import Busy, ServiceError, StoreUnavailable
from service.live_models import LiveModels
from service.store.orders import Order, Orders, Report
from service.store.retry import repeat, retry_while_unavailable
from service.store.telling import tell_each_minute

logger = logging.getLogger(__name__)

# Seconds between two looks for orders, and between two looks at the folder.
ORDERS_EVERY_S = 1.0
LOOK_EVERY_S = 2.0

# What changes when one of the files of a checkpoint is replaced or written to.
State = tuple[tuple[int, int, int], ...]


async def follow_orders(orders: Orders, worker: str, models: LiveModels) -> None:
    """Follow the orders that stand and those that come, one after the other."""
    done: dict[str, str] = {}

    async def follow() -> None:
        try:
            for name, order in (await orders.latest()).items():
                if done.get(name) != order.id:
                    report = await _follow(name, order, models)
                    done[name] = order.id
                    await retry_while_unavailable(partial(orders.report, order, worker, report))
        except StoreUnavailable as error:
            tell_each_minute(logger, logging.WARNING, f"orders cannot be read: {error}")
        await asyncio.sleep(ORDERS_EVERY_S)

    await repeat("loop that follows orders", follow)


async def _follow(name: str, order: Order, models: LiveModels) -> Report:
    try:
        if order.action == "unload":
            await models.unload(name)
            return Report()
        loaded = await models.load(name)
    except ServiceError as error:
        return Report(code=error.code, detail=error.detail)
    return Report(checkpoint=loaded.checkpoint, before=loaded.before)


async def watch_folder(root: Path, models: LiveModels, before: dict[str, State]) -> None:
    """Load each checkpoint below `root` whose files differ from what was there `before`, once they
    have not changed between two looks.

    A folder that vanishes changes nothing: file servers have bad moments. Where memory is short, a
    load is tried again.
    """
    done, seen = dict(before), dict(before)
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        now = await in_background("watching", partial(states, root))
        for name, state in now.items():
            if state == seen.get(name) and state != done.get(name):
                done[name] = state
                try:
                    await models.load(name)
                except Busy as error:
                    # Memory may be free once another model has been dropped.
                    del done[name]
                    await asyncio.sleep(error.retry_after)
                except ServiceError:
                    # It has been logged and counted.
                    continue
        seen = now


def states(root: Path) -> dict[str, State]:
    """Return the state of the files of each checkpoint below `root`, by the model's name, and of a
    damaged manifest by its folder's."""
    found = {}
    for folder, manifest in manifests(root):
        name = folder.name if isinstance(manifest, CheckpointError) else manifest.name
        found[name] = tuple(_state(folder / file) for file in (MANIFEST, WEIGHTS, CALIBRATION))
    return found


def _state(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_size, found.st_mtime_ns)
