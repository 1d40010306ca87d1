"""Work that a process does not wait for when it stops: it may hang in a file, or be deep in native
code."""

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
    """What `work` comes to, in a thread of its own; whoever is cancelled here leaves it behind."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Result] = loop.create_future()
    _Background(name, work, loop, outcome).start()
    return await outcome


def lingers(within_s: float = 1.0) -> bool:
    """Whether such work is still going on after so many seconds."""
    threads = [thread for thread in threading.enumerate() if isinstance(thread, _Background)]
    for thread in threads:
        thread.join(within_s)
    return any(thread.is_alive() for thread in threads)


def leave(code: int) -> NoReturn:
    """End the process now, with everything said.

    The interpreter's own way out would wait for threads, or stop them within native code, which
    aborts the process (torch answers it with SIGABRT every time).
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class _Background(threading.Thread):
    """Does its work, then tells the loop what came of it, if there still is one."""

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
            # A loop that is closed has nobody left who would hear it.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(tell, settle)

        super().__init__(target=run, name=name, daemon=True)
