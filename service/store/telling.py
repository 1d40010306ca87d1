"""Lines that a log has once a minute, and not at each of many tries."""

import logging
import time

EVERY_S = 60.0
# Different lines whose last time is remembered.
_REMEMBERED = 1_000
_told: dict[tuple[str, str], float] = {}


def tell_each_minute(logger: logging.Logger, level: int, line: str) -> None:
    """Log a line, unless the same logger has done so within the last minute."""
    now = time.monotonic()
    if now - _told.get((logger.name, line), -EVERY_S) < EVERY_S:
        return
    if len(_told) >= _REMEMBERED:
        _told.clear()
    _told[logger.name, line] = now
    logger.log(level, "%s", line)
