"""The Lua scripts, each one atomic step; `lua/common.lua` and the keys' names lead every one."""

from importlib.resources import files
from typing import Any

from redis.asyncio import Redis

from service.store.connection import NOBODY, reaching
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
    "room",
    "sweep",
    "watch",
)


class Scripts:
    """Runs scripts by name; Redis is sent the text of one that it does not have."""

    def __init__(self, client: Redis, observer: StoreObserver = NOBODY) -> None:
        self._observer = observer
        self._scripts = {
            name: client.register_script(_PRELUDE + (_FOLDER / f"{name}.lua").read_text())
            for name in NAMES
        }

    async def run(self, name: str, *arguments: str | bytes | float) -> Any:
        """What the script returns. Raises StoreUnavailable."""
        with reaching(name, self._observer):
            return await self._scripts[name](args=arguments)
