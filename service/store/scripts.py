"""The Lua scripts, each an atomic step. Every one begins with the keys' names and `common.lua`."""

from importlib.resources import files
from typing import Any

from redis.asyncio import Redis

from service.store.connection import NULL_OBSERVER, round_trip
from service.store.keys import IN_SCRIPTS
from service.telemetry.observers import StoreObserver

_FOLDER = files("service.store") / "lua"
_PRELUDE = (
    "local names = {"
    + ", ".join(f"{name} = '{value}'" for name, value in IN_SCRIPTS.items())
    + "}\n"
    + (_FOLDER / "common.lua").read_text()
)
NAMES = (
    "announce",
    "cancel",
    "claim",
    "complete",
    "ended",
    "expire",
    "forget",
    "known",
    "leave",
    "list",
    "load",
    "put",
    "record",
    "release",
    "renew",
    "report",
    "retry",
    "check_capacity",
    "settle_call",
    "sweep",
    "take_call",
    "watch",
    "withdraw",
)


class Scripts:
    """The scripts by name. Redis is sent the text of a script that it does not have."""

    def __init__(self, client: Redis, observer: StoreObserver = NULL_OBSERVER) -> None:
        self._observer = observer
        self._scripts = {
            name: client.register_script(_PRELUDE + (_FOLDER / f"{name}.lua").read_text())
            for name in NAMES
        }

    async def run(self, name: str, *arguments: str | bytes | float) -> Any:
        """Run a script and return its reply. Raises StoreUnavailable."""
        with round_trip(name, self._observer):
            return await self._scripts[name](args=arguments)
