"""The connection to Redis. A command that gets no answer in time is an error, and never a wait."""

import asyncio
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from service import urls
from service.errors import ServeError, StoreUnavailable
from service.store.telling import tell_each_minute
from service.telemetry.observers import StoreObserver

logger = logging.getLogger(__name__)

# The oldest version of Redis that has all commands of the scripts.
OLDEST = (6, 2)
# Seconds to connect, to get an answer, and to get one of the connections, each on its own.
ANSWER_WITHIN_S = 2.0
CONNECTIONS = 64
NULL_OBSERVER = StoreObserver()
_RETRY_AFTER_S = 2
_VERSION = re.compile(r"(\d+)\.(\d+)")
# Passwords of this process, which no log may show: a server may repeat what it does not understand.
_secrets: set[str] = set()
# The places of the Redis of this process, without user and password: what is wrong may be there.
_places: set[str] = set()


def connect(url: str, answer_within_s: float = ANSWER_WITHIN_S) -> Redis:
    """Make a client that connects when it is used, and again after each failure.

    `answer_within_s` is in seconds. Raises ServeError for a URL that is not one of Redis.
    """
    try:
        parts = urls.redis_url(url)
        password = parts.password or ""
        _places.add(urls.place(parts))
        _secrets.update(filter(None, (password, unquote(password))))
        pool = BlockingConnectionPool.from_url(
            url,
            protocol=2,
            max_connections=CONNECTIONS,
            timeout=answer_within_s,
            socket_timeout=answer_within_s,
            socket_connect_timeout=answer_within_s,
            # A command that failed may have been carried out: its caller decides what to do.
            retry=Retry(NoBackoff(), 0),
        )
        # Connections reject unknown options only when they are made, which is too late.
        pool.make_connection()  # type: ignore[no-untyped-call]
    except (TypeError, ValueError):
        # The library's message repeats the part that it could not parse, which may be a password.
        raise ServeError(f"MULAN_STORE (--store) is no URL of a Redis: it {urls.REDIS}") from None
    return Redis.from_pool(pool)


@contextmanager
def round_trip(operation: str, observer: StoreObserver) -> Iterator[None]:
    """Measure one operation for the observer, and turn its errors into StoreUnavailable.

    That covers whatever keeps Redis from its work: it is away, full, read-only or busy with the
    script of another client. It also covers a command that Redis takes for a mistake, which must
    not end a process that clients wait for.
    """
    began = time.perf_counter()
    try:
        yield
    except (RedisError, OSError) as error:
        refused = isinstance(error, ResponseError)
        place = f" at {next(iter(_places))}" if len(_places) == 1 else ""
        words = f"Redis refused {operation}" if refused else f"Redis cannot be reached{place}"
        level = logging.ERROR if refused else logging.WARNING
        tell_each_minute(logger, level, f"{words}: {reason(error)}")
        observer.unreachable(operation, time.perf_counter() - began)
        raise _unavailable(error) from error
    observer.round_trip(operation, time.perf_counter() - began)


async def check(client: Redis, observer: StoreObserver = NULL_OBSERVER) -> None:
    """Check the version of Redis, and log settings that lose jobs.

    A user that may not ask for them can be served all the same. Raises ServeError for a Redis that
    is too old, and StoreUnavailable.
    """
    with round_trip("info", observer):
        try:
            facts = await client.info()
        except NoPermissionError:
            logger.warning(
                "Redis's user may not send INFO: its version, which should be %s or newer, and "
                "settings that lose jobs are not checked",
                ".".join(str(part) for part in OLDEST),
            )
            return
    version = str(facts.get("redis_version"))
    found = _VERSION.match(version)
    if found and (int(found[1]), int(found[2])) < OLDEST:
        oldest = ".".join(str(part) for part in OLDEST)
        raise ServeError(f"Redis {version} is too old: {oldest} or newer is needed")
    if (policy := facts.get("maxmemory_policy", "noeviction")) != "noeviction":
        logger.warning(
            "Redis evicts keys (maxmemory-policy %s): jobs will be lost; set noeviction", policy
        )
    if not facts.get("aof_enabled"):
        logger.warning("Redis keeps no append-only file: jobs do not survive its crash")


async def wait_until_reachable(client: Redis, observer: StoreObserver = NULL_OBSERVER) -> None:
    """Wait until Redis answers. Raises ServeError for a Redis that is too old."""
    while True:
        try:
            return await check(client, observer)
        except StoreUnavailable as error:
            tell_each_minute(logger, logging.WARNING, f"{error}; trying again")
        await asyncio.sleep(_RETRY_AFTER_S)


def reason(error: Exception) -> str:
    """Return why Redis does not answer as it should, as a log may show it."""
    text = f"{type(error).__name__}: {error}"
    for secret in _secrets:
        text = text.replace(secret, "***")
    return ascii(text)[1:-1][:300]


def _unavailable(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(f"the queue cannot be reached ({type(error).__name__})", _RETRY_AFTER_S)
