"""The part of an API process that makes the calls which the store owes."""

import asyncio
import logging
import time
from contextlib import suppress
from datetime import UTC, datetime

import httpx

from service.callbacks.message import message
from service.callbacks.sending import TIMEOUT_S, ForbiddenAddressError, Sender
from service.errors import StoreUnavailable
from service.hosts import AllowedHosts
from service.settings import Settings
from service.store.base import Call, Callbacks
from service.store.retry import cancel_all, repeat, retry_while_unavailable
from service.store.telling import tell_each_minute
from service.telemetry.callbacks import CallbackMetrics, Ending

logger = logging.getLogger("mulan.callbacks")

# Seconds after each failed attempt until the next. What is known of a job outlives their sum.
BACKOFF_S = (5.0, 30.0, 120.0, 600.0, 1800.0)
# Seconds for which a process holds a call: more than an attempt may take.
LEASE_S = 6 * TIMEOUT_S
# Seconds between two looks for a call where none was due.
LOOK_EVERY_S = 1.0
# Calls that one process makes at once.
MOST_AT_ONCE = 16
# The receiver's word that it wants no more calls, by Standard Webhooks.
_GONE = 410


class Caller:
    """Makes the calls of one store, together with any other processes that do. All methods belong
    to one event loop."""

    def __init__(self, callbacks: Callbacks, settings: Settings, metrics: CallbackMetrics) -> None:
        self._callbacks, self._metrics = callbacks, metrics
        self._secret = settings.callback_secret
        self._sender = Sender(AllowedHosts.of(settings.callback_hosts))
        self._room = asyncio.Semaphore(MOST_AT_ONCE)
        self._calls = set[asyncio.Task[None]]()

    async def run(self) -> None:
        """Make calls until this task is cancelled."""
        await repeat("loop that makes calls", self._make_next)

    async def _make_next(self) -> None:
        await self._room.acquire()
        try:
            call = await self._next()
        except BaseException:
            self._room.release()
            raise
        task = asyncio.create_task(self._make(call))
        self._calls.add(task)
        task.add_done_callback(self._ended)

    async def close(self, within_s: float) -> None:
        """Make the calls that are due, and let those that are being made end, within so many
        seconds. A call that is not settled by then is due again when its lease runs out."""
        with suppress(TimeoutError, StoreUnavailable):
            async with asyncio.timeout(within_s):
                while call := await self._callbacks.take(LEASE_S):
                    await self._make(call)
                if self._calls:
                    await asyncio.wait(self._calls)
        await cancel_all(*self._calls)
        await self._sender.close()

    async def _next(self) -> Call:
        while True:
            try:
                if call := await self._callbacks.take(LEASE_S):
                    return call
            except StoreUnavailable as error:
                tell_each_minute(logger, logging.WARNING, f"calls cannot be looked for: {error}")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _make(self, call: Call) -> None:
        began = time.perf_counter()
        ending, why = await self._attempt(call)
        self._metrics.attempted(ending, time.perf_counter() - began)
        again = None
        if ending == "delivered":
            pass
        elif ending == "forbidden" or why == str(_GONE) or call.attempt > len(BACKOFF_S):
            self._metrics.gave_up()
        else:
            again = BACKOFF_S[call.attempt - 1]
        extra = {"job_id": call.job.id, "attempt": call.attempt, "outcome": ending}
        if ending == "delivered":
            logger.info("a callback was delivered", extra=extra)
        else:
            words = "it is given up" if again is None else f"next in {again:.0f} s"
            logger.warning("a callback failed: %s; %s", why, words, extra=extra)
        await retry_while_unavailable(lambda: self._callbacks.settle(call, again))

    async def _attempt(self, call: Call) -> tuple[Ending, str]:
        """Try once, and return how it ended, and why it failed."""
        try:
            told = message(call, self._secret, datetime.now(UTC))
            status = await self._sender.send(call.url, told)
        except ForbiddenAddressError as error:
            return "forbidden", str(error)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # The text of an error may hold the URL.
            return "unreachable", type(error).__name__
        return ("delivered" if 200 <= status < 300 else "rejected"), str(status)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        self._room.release()
        if not task.cancelled() and (error := task.exception()):
            logger.error("a callback failed by a defect", exc_info=error)
