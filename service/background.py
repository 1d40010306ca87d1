"""Work in threads that a process does not wait for when it stops.

Such work may hang in a file, or spend long in native code.
"""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NoReturn, TypeVar

Result = TypeVar("Result")


async def in_background(name: str, work: Callable[[], Result]) -> Result:
    """Run `work` in a daemon thread of its own and return its result, or raise its error.

    A caller that is cancelled leaves the thread running.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Result] = loop.create_future()
    _Background(name, work, loop, outcome).start()
    return await outcome


def lingers(within_s: float = 1.0) -> bool:
    """True if such work still runs after `within_s` seconds for each thread."""
    threads = [thread for thread in threading.enumerate() if isinstance(thread, _Background)]
    for thread in threads:
        thread.join(within_s)
    return any(thread.is_alive() for thread in threads)


def leave(code: int) -> NoReturn:
    """End the process at once with exit code `code`, after flushing its logs.

    The usual exit would stop threads within native code, which aborts the process: with a thread in
    torch it ended by SIGABRT in 15 of 15 runs.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class _Background(threading.Thread):
    """Runs `work`, then settles `outcome` in its event loop, unless the loop is closed."""

    def __init__(
        self,
        name: str,
        work: Callable[[], Result],
        loop: asyncio.AbstractEventLoop,
        outcome: "asyncio.Future[Result]",
    ) -> None:
        def tell(settle: Callable[[], None]) -> None:
            if not outcome.done():
                settle()

        def run() -> None:
            try:
                settle = partial(outcome.set_result, work())
            except BaseException as error:
                settle = partial(outcome.set_exception, error)
            # The loop is closed when the caller has left.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(tell, settle)

        super().__init__(target=run, name=name, daemon=True)
