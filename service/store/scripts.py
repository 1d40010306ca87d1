"""The Lua scripts, each an atomic step. Every one begins with the functions in `lua/lib`.

`names.x` in a script stands for a name of `keys`, and `constants.x` for one of `Constants`. The
first argument of each is the time. Beside its reply a script returns what it has found in Redis
that cannot be read; it has put that aside, or failed the job that it belongs to.

Scripts declare no keys, but in a Redis Cluster one that never exists. It leads to the shard's
primary, and while the slot moves to another one, no script is run on a part of the data.
"""

import functools
import re
import time
from collections.abc import Callable
from importlib.resources import files
from typing import Any, NamedTuple

from redis.asyncio import Redis

from service.errors import ComputationFailed, DeadlineExceeded
from service.store import rules
from service.store.bounds import REMEMBERED_S, Bounds
from service.store.connection import NULL_OBSERVER, round_trip
from service.store.damage import Damage
from service.store.keys import IN_SCRIPTS, NOTHING
from service.store.shards import ALONE, Shard
from service.store.wire import encode_outcome
from service.telemetry.observers import StoreObserver

_FOLDER = files("service.store") / "lua"
# Each needs those before it.
_LIBRARY = ("base", "takeover", "job", "queue", "waiting", "results", "ends")
_NAMES = sorted(file.name[:-4] for file in _FOLDER.iterdir() if file.name.endswith(".lua"))
# These only read, and are run again where they have found a job that had to be failed.
_READING = frozenset(("summary", "record", "list", "watch", "known"))
# Seconds that a dead letter, and a value that was put aside, are kept.
DEAD_LETTER_S = 7 * 86_400.0
# Jobs that one worker is taken to hold at most where it is not known how many it held.
_MOST_TOGETHER = 64
# Jobs of an index that are looked at when something is made again of their hashes.
_MENDED = 10_000
# Leases for which a client is taken to wait without saying so.
_ATTENDED_LEASES = 1.5
# Seconds after which a job that is not known is no longer taken for one that was lost.
LOST_FOR_S = 86_400.0
# Milliseconds before the last sweep that a server knows of, since when jobs may be lost with the
# server before it: APIs sweep every second.
_LAG_MS = 2_000
# Milliseconds that an index of jobs lives longer than its last job.
_INDEX_MS = 3_600_000
# Where no bounds are given: of processes that neither admit nor end jobs.
_NO_BOUNDS = Bounds(0, 10_000, 300.0)


class Constants(NamedTuple):
    """The values that scripts have from the beginning. Times are in seconds, or in milliseconds if
    their name ends in _ms; outcomes are encoded."""

    kept_s: float
    remembered_s: float
    unread_s: float
    most_bytes: int
    most_of_one: int
    most_crashes: int
    most_together: int
    window: int
    looked_at: int
    lease_ms: int
    attended_ms: int
    letter_ms: int
    damaged_ms: int
    lag_ms: int
    index_ms: int
    gap_ms: int
    shard: int
    shards: int
    too_late: bytes
    unended: bytes
    cancelled: bytes
    fatal: bytes
    failure: bytes

    @classmethod
    def of(cls, bounds: Bounds, shard: Shard) -> "Constants":
        """Return the constants of a shard with these bounds."""
        lease_ms, week_ms = 1000 * bounds.lease_s, int(1000 * DEAD_LETTER_S)
        fatal = f"{bounds.most_crashes} workers died or hung while they ran this job alone"
        return cls(
            kept_s=bounds.kept_s,
            remembered_s=bounds.kept_s + REMEMBERED_S,
            unread_s=bounds.unread_s,
            most_bytes=bounds.retained_bytes,
            most_of_one=bounds.retained,
            most_crashes=bounds.most_crashes,
            most_together=_MOST_TOGETHER,
            window=rules.WINDOW,
            looked_at=_MENDED,
            lease_ms=int(lease_ms),
            attended_ms=int(_ATTENDED_LEASES * lease_ms),
            letter_ms=week_ms,
            damaged_ms=week_ms,
            lag_ms=_LAG_MS,
            index_ms=_INDEX_MS,
            gap_ms=int(1000 * LOST_FOR_S),
            shard=shard.number,
            shards=shard.of,
            too_late=encode_outcome(rules.too_late()),
            unended=encode_outcome(DeadlineExceeded("no worker ended the job by its deadline")),
            cancelled=encode_outcome(rules.cancelled()),
            fatal=encode_outcome(ComputationFailed(fatal)),
            failure=encode_outcome(ComputationFailed("")),
        )


class Scripts:
    """The scripts of one shard by name, for one process. Redis is sent the text of a script that it
    does not have. `clock` returns seconds since the epoch."""

    def __init__(
        self,
        client: Redis,
        observer: StoreObserver = NULL_OBSERVER,
        bounds: Bounds = _NO_BOUNDS,
        clock: Callable[[], float] = time.time,
        shard: Shard = ALONE,
    ) -> None:
        self.observer, self.damage, self._clock = observer, Damage(observer), clock
        self._client = client
        self._shard, self._keys = shard, [shard.name(NOTHING)] if shard.tag else []
        texts = _texts(Constants.of(bounds, shard), shard)
        self._scripts = {name: client.register_script(text) for name, text in texts.items()}

    async def run(self, name: str, *arguments: str | bytes | float) -> Any:
        """Run a script and return its reply. Raises StoreUnavailable."""
        return await self._run(name, name, arguments)

    def name(self, name: str) -> str:
        """Return a name of `keys`, or one that begins with it, as it is called in this shard."""
        return self._shard.name(name)

    async def command(self, operation: str, *command: str | bytes | float) -> Any:
        """Run one command on a key that may hold anything at all. Raises StoreUnavailable."""
        return await self._run("command", operation, command)

    async def read(self, operation: str, *commands: tuple[str, ...]) -> list[Any]:
        """Run commands that only read, in one round trip but not in one step. The reply to one that
        Redis refuses is its error. Raises StoreUnavailable."""
        with round_trip(operation, self.observer, self._shard.number):
            async with self._client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return await pipeline.execute(raise_on_error=False)

    async def _run(
        self, name: str, operation: str, arguments: tuple[str | bytes | float, ...]
    ) -> Any:
        with round_trip(operation, self.observer, self._shard.number):
            reply, *found = await self._scripts[name](self._keys, (self._clock(), *arguments))
        finds = found[0] if found else ()
        for what, where, why in finds:
            if what == b"condemned":
                reason = await self._run("condemn", "condemn", (where,))
                if reason:
                    self.damage.tell("job", _text(where), _text(reason))
            else:
                self.damage.tell(_text(what), _text(where), _text(why))
        if name in _READING and any(what == b"condemned" for what, *_ in finds):
            return await self._run(name, operation, arguments)
        return reply


@functools.lru_cache
def _texts(constants: Constants, shard: Shard) -> dict[str, str]:
    """Return the texts of all scripts by name; a process has several clients with the same."""
    library = _parts("".join((_FOLDER / "lib" / f"{one}.lua").read_text() for one in _LIBRARY))
    whole = {name: _whole(library, (_FOLDER / f"{name}.lua").read_text()) for name in _NAMES}
    return {name: _filled(text, constants, shard) for name, text in whole.items()}


def _parts(library: str) -> dict[str, str]:
    """Divide the library into its functions and variables, by name, in their order."""
    pieces = re.split(r"^(?=local (?:function )?\w+)", library, flags=re.MULTILINE)
    named = ((re.match(r"local (?:function )?(\w+)", piece), piece) for piece in pieces)
    return {name[1]: piece for name, piece in named if name}


def _whole(library: dict[str, str], script: str) -> str:
    """Put those functions of the library before a script that it needs, directly or not."""
    needed, new = set[str](), {"tell"} | _words(script)
    while new := new & library.keys() - needed:
        needed |= new
        new = {word for name in new for word in _words(library[name])}
    return "".join(
        (
            *(part for name, part in library.items() if name in needed),
            "local function main()\n",
            script,
            "end\nlocal reply = main() or false\n"
            "if #damage == 0 then return {reply} end\nreturn {reply, damage}\n",
        )
    )


def _words(text: str) -> set[str]:
    """Return the words of a script that may be names of functions or variables."""
    code = re.sub(r"--.*|'[^'\n]*'", "", text)
    return set(re.findall(r"(?<![.\w])[A-Za-z]\w*", code))


def _filled(text: str, constants: Constants, shard: Shard) -> str:
    """Put names and constants where a script uses them, without comments and indents."""

    def name(found: re.Match[str]) -> str:
        return _literal(shard.name(IN_SCRIPTS[found[1]]).encode())

    text = re.sub(r"^ *(--.*\n)?", "", text, flags=re.MULTILINE)
    text = re.sub(r"\bnames\.(\w+)", name, text)
    return re.sub(r"\bconstants\.(\w+)", lambda found: _literal(getattr(constants, found[1])), text)


def _literal(value: bytes | float) -> str:
    """Write a value as Lua does."""
    if not isinstance(value, bytes):
        return repr(value)
    return "'" + "".join(f"\\{byte:03d}" for byte in value) + "'"


def _text(part: bytes) -> str:
    return part.decode(errors="replace")
