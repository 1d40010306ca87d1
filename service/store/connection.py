"""Redis within bounds: a command that gets no answer in time is an error, never a wait."""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from service import urls
from service.errors import ServeError, StoreUnavailable
from service.telemetry.observers import StoreObserver

logger = logging.getLogger(__name__)

OLDEST = (6, 2)
# Seconds to connect, to get an answer, and to get one of the connections; each on its own.
ANSWER_WITHIN_S = 2.0
CONNECTIONS = 64
NOBODY = StoreObserver()
_RETRY_AFTER_S = 2


def connect(url: str, answer_within_s: float = ANSWER_WITHIN_S) -> Redis:
    """A client that connects when it is used, and again after each failure. Raises ServeError."""
    try:
        urls.redis_url(url)
        pool = BlockingConnectionPool.from_url(
            url,
            protocol=2,
            max_connections=CONNECTIONS,
            timeout=answer_within_s,
            socket_timeout=answer_within_s,
            socket_connect_timeout=answer_within_s,
            # Whether a command that failed was carried out is for its caller to judge.
            retry=Retry(NoBackoff(), 0),
        )
        # What a connection does not know it says when it is made, which reaches nobody.
        pool.make_connection()  # type: ignore[no-untyped-call]
    except (TypeError, ValueError):
        # The library's message repeats the part that it could not parse, which may be a password.
        raise ServeError(f"MULAN_STORE (--store) is no URL of a Redis: it {urls.REDIS}") from None
    return Redis.from_pool(pool)


@contextmanager
def reaching(operation: str, observer: StoreObserver) -> Iterator[None]:
    """One operation, which the observer is told of. Raises StoreUnavailable for whatever keeps
    Redis from its work: it is away, full, read-only, busy with another's script; or it takes our
    command for a mistake, which must not end a process that others wait for."""
    began = time.perf_counter()
    try:
        yield
    except (RedisError, OSError) as error:
        if isinstance(error, ResponseError):
            logger.error("Redis refused %s: %s", operation, error)
        observer.unreachable(operation, time.perf_counter() - began)
        raise _unavailable(error) from error
    observer.round_trip(operation, time.perf_counter() - began)


async def check(client: Redis, observer: StoreObserver = NOBODY) -> None:
    """Raises ServeError for a Redis that is too old, StoreUnavailable for one that is away; logs
    what would lose jobs."""
    with reaching("info", observer):
        facts = await client.info()
    version = str(facts["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        oldest = ".".join(str(part) for part in OLDEST)
        raise ServeError(f"Redis {version} is too old: {oldest} or newer is needed")
    if (policy := facts.get("maxmemory_policy", "noeviction")) != "noeviction":
        logger.warning("Redis evicts keys (%s): jobs will be lost; set noeviction", policy)
    if not facts.get("aof_enabled"):
        logger.warning("Redis keeps no append-only file: jobs do not survive its crash")


async def reached(client: Redis, observer: StoreObserver = NOBODY) -> None:
    """Wait until Redis answers. Raises ServeError for one that is too old."""
    while True:
        try:
            return await check(client, observer)
        except StoreUnavailable as error:
            logger.warning("%s; trying again", error)
        await asyncio.sleep(_RETRY_AFTER_S)


def _unavailable(error: Exception) -> StoreUnavailable:
    logger.debug("Redis does not answer as it should", exc_info=error)
    return StoreUnavailable(f"the queue cannot be reached ({type(error).__name__})", _RETRY_AFTER_S)
