"""Waiting for a store that is away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from service.errors import StoreUnavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds between tries.
FIRST_BACKOFF = 0.1
LAST_BACKOFF = 5.0


async def retry_while_unavailable(call: Callable[[], Awaitable[T]]) -> T:
    """The outcome of `call`, tried again, ever more slowly, while the store is away."""
    backoff = FIRST_BACKOFF
    while True:
        try:
            return await call()
        except StoreUnavailable as error:
            logger.warning("the store is away, next try in %.1f s: %s", backoff, error)
        await asyncio.sleep(backoff)
        backoff = min(2 * backoff, LAST_BACKOFF)
