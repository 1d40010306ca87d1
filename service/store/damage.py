"""Finds in Redis that cannot be read: each is logged once, and counted.

Redis is shared. Whatever is read from it may be of another program or another build, or broken, and
must do no harm beyond the job that it belongs to.
"""

import logging
from collections import OrderedDict

from service.telemetry.observers import StoreObserver

logger = logging.getLogger(__name__)

# Finds that are remembered, so that none is told twice, and characters of each part in the log.
_REMEMBERED = 1_000
_SHOWN = 200


class Damage:
    """Tells the log and an observer of each find of one process, once."""

    def __init__(self, observer: StoreObserver) -> None:
        self._observer = observer
        self._told: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    def tell(self, what: str, where: str, why: str) -> None:
        """Tell that something of a kind in `observers.UNREADABLE`, at some
        place, cannot be read, and why."""
        where, why = ascii(where)[1:-1][:_SHOWN], ascii(why)[1:-1][:_SHOWN]
        find = (what, where, why)
        if find in self._told:
            self._told.move_to_end(find)
            return
        self._told[find] = None
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        logger.error("in Redis, the %s %s cannot be read: %s", what, where, why)
        self._observer.unreadable(what)
