"""Calls and cancellations that are repeated until they take effect."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeVar

from service.errors import StoreUnavailable
from service.store.telling import tell_each_minute

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds before the first repetition, and at most before a later one.
FIRST_BACKOFF = 0.1
LAST_BACKOFF = 5.0
# Seconds before a task is cancelled again: more than the last command of a cancelled one may take.
CANCEL_AGAIN_S = 3.0


async def retry_while_unavailable(call: Callable[[], Awaitable[T]]) -> T:
    """Return the outcome of `call`, which is repeated, more and more slowly, while it raises
    StoreUnavailable."""
    backoff = FIRST_BACKOFF
    while True:
        try:
            return await call()
        except StoreUnavailable as error:
            line = f"the store is unavailable, and tried again: {error}"
            tell_each_minute(logger, logging.WARNING, line)
        await asyncio.sleep(backoff)
        backoff = min(2 * backoff, LAST_BACKOFF)


async def repeat(name: str, act: Callable[[], Awaitable[None]]) -> NoReturn:
    """Call `act` again and again until this task is cancelled. An error that it did not expect is
    logged, once where it comes again and again, and ends nothing."""
    told = ""
    while True:
        try:
            await act()
            told = ""
        except Exception as error:
            if repr(error) != told:
                told = repr(error)
                logger.exception("the %s failed, and goes on", name)
            await asyncio.sleep(LAST_BACKOFF / 5)


async def cancel_all(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks, and wait until each has ended, however that was.

    A cancellation is repeated because it may be lost: `asyncio.wait_for`, by which the client of
    Redis sends commands, ignores one that comes as the command leaves (until Python 3.12).
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
