"""The connections to Redis. A command that gets no answer in time is an error, and never a wait."""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, NamedTuple

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import Connection, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from service import urls
from service.errors import ServeError, StoreUnavailable
from service.store import keys
from service.store.directions import SEARCH_WITHIN_S, Address, ClusterMap, Sentinels
from service.store.links import Trust, made_of
from service.store.routes import ClusterRoute, SentinelRoute, routed
from service.store.shards import ALONE, Shard, in_cluster
from service.store.telling import tell_each_minute
from service.telemetry.observers import StoreObserver

logger = logging.getLogger(__name__)

# The oldest version of Redis that has all commands of the scripts.
OLDEST = (6, 2)
# Seconds to connect, to get an answer, and to get one of the connections, each on its own.
ANSWER_WITHIN_S = 2.0
CONNECTIONS = 64
NULL_OBSERVER = StoreObserver()
_NO_RETRY = Retry(NoBackoff(), 0)
_RETRY_AFTER_S = 2
# Characters of an error that a log shows.
_SHOWN = 600
_VERSION = re.compile(r"(\d+)\.(\d+)")
# Passwords of this process, which no log may show: a server may repeat what it does not understand.
_secrets: set[str] = set()
# The places of the Redis of this process, without user and password: what is wrong may be there.
_places: set[str] = set()


class Connected(NamedTuple):
    """A client of one shard of a store."""

    client: Redis
    shard: Shard = ALONE


def connect(url: str, answer_within_s: float = ANSWER_WITHIN_S) -> Redis:
    """Make a client of one server, that connects when it is used, and again after each failure.

    `answer_within_s` is in seconds. Raises ServeError for a URL that is not one of Redis.
    """
    with _refused_urls(url):
        parts = _known(url)
        if parts.kind != "plain" or len(parts.servers) > 1:
            raise urls.UrlError(urls.REDIS)
        return _plain(url, answer_within_s)


@asynccontextmanager
async def connect_all(
    url: str, answer_within_s: float = ANSWER_WITHIN_S
) -> AsyncIterator[list[Connected]]:
    """Make a client of each shard of the store of a URL, as `connect` does, and close all in the
    end. Raises ServeError for a URL that is not one of Redis."""
    async with AsyncExitStack() as stack:
        with _refused_urls(url):
            found = _connect_all(_known(url), answer_within_s, stack)
        for client, _ in found:
            stack.push_async_callback(client.aclose)
        yield found


def _connect_all(url: urls.RedisUrl, within_s: float, stack: AsyncExitStack) -> list[Connected]:
    if url.kind == "plain":
        clients = [_plain(server, within_s) for server in url.servers]
        several = len(clients) > 1
        return [
            Connected(client, Shard(number, len(clients)) if several else ALONE)
            for number, client in enumerate(clients)
        ]
    hosts, options, trust = _servers(url)
    # Connections reject unknown options only when they are made, which is too late.
    _ = (SSLConnection if trust else Connection)(**options)
    pool = _pool_options(within_s) | options
    asking = dict.fromkeys(("socket_timeout", "socket_connect_timeout"), SEARCH_WITHIN_S)
    if url.kind == "sentinel":
        theirs = {"password": url.sentinel_password, "retry": _NO_RETRY}
        sentinels = Sentinels(hosts, url.primary, trust, **asking, **theirs)
        stack.push_async_callback(sentinels.close)
        return [Connected(routed(SentinelRoute(sentinels), trust, **pool))]
    owners = ClusterMap(hosts, trust, **{**options, **asking, "retry": _NO_RETRY})
    return [
        Connected(routed(ClusterRoute(owners, shard.name(keys.NOTHING)), trust, **pool), shard)
        for shard in in_cluster(url.shards)
    ]


def _servers(url: urls.RedisUrl) -> tuple[list[Address], dict[str, Any], Trust | None]:
    """Return the hosts of a URL with their ports, what it says of each connection, and the trust
    of those over TLS."""
    ordinary = 26379 if url.kind == "sentinel" else 6379
    hosts, options = [], dict[str, Any]()
    for server in url.servers:
        options = dict(parse_url(server))
        hosts.append((options.pop("host", "localhost"), options.pop("port", ordinary)))
    tls = options.pop("connection_class", None) is SSLConnection
    return hosts, options, _trust(options) if tls else None


def _plain(url: str, within_s: float) -> Redis:
    options: dict[str, Any] = dict(parse_url(url))
    kind = options.pop("connection_class", Connection)
    if issubclass(kind, Connection):
        options |= made_of(_trust(options) if kind is SSLConnection else None)
    else:
        options["connection_class"] = kind
    pool = BlockingConnectionPool(**_pool_options(within_s) | options)
    # Connections reject unknown options only when they are made, which is too late.
    pool.make_connection()  # type: ignore[no-untyped-call]
    return Redis.from_pool(pool)


def _trust(options: Mapping[str, Any]) -> Trust:
    """Read the certificates that the options of a URL name. Raises ServeError."""
    try:
        return Trust(options)
    except OSError as error:
        raise ServeError(
            "MULAN_STORE (--store) names certificates that cannot be read (ssl_ca_certs, "
            f"ssl_ca_path, ssl_certfile or ssl_keyfile): {reason(error)}"
        ) from None


def _pool_options(within_s: float) -> dict[str, Any]:
    return {
        "protocol": 2,
        "max_connections": CONNECTIONS,
        "timeout": within_s,
        "socket_timeout": within_s,
        "socket_connect_timeout": within_s,
        # A command that failed may have been carried out: its caller decides what to do.
        "retry": _NO_RETRY,
    }


def _known(text: str) -> urls.RedisUrl:
    """Read a URL, and remember what of it may be logged and what may not. Raises UrlError."""
    url = urls.redis_url(text)
    _places.add(url.place)
    _secrets.update(url.passwords)
    return url


@contextmanager
def _refused_urls(url: str) -> Iterator[None]:
    """Raise ServeError for this URL if the library does not take it."""
    name = "MULAN_STORE (--store) is no URL of a Redis"
    try:
        yield
    except urls.UrlError as error:
        raise ServeError(f"{name}: it {error}") from None
    except (TypeError, ValueError, RedisError):
        # The library's message repeats the part that it could not parse, which may be a password.
        raise ServeError(f"{name}: it {urls.form(url)}") from None


@contextmanager
def round_trip(operation: str, observer: StoreObserver, shard: int) -> Iterator[None]:
    """Measure one operation at a shard for the observer, and turn its errors into StoreUnavailable.

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
        observer.unreachable(operation, time.perf_counter() - began, shard)
        raise _unavailable(error) from error
    observer.round_trip(operation, time.perf_counter() - began, shard)


async def check(connected: Connected, observer: StoreObserver = NULL_OBSERVER) -> None:
    """Check the version of Redis, and log settings that lose jobs.

    A user that may not ask for them can be served all the same. Raises ServeError for a Redis that
    is too old, and StoreUnavailable.
    """
    with round_trip("info", observer, connected.shard.number):
        try:
            facts = await connected.client.info()
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


async def check_shard(
    connected: Connected, observer: StoreObserver = NULL_OBSERVER, marks: bool = True
) -> None:
    """Check that a Redis holds the data of this shard, or none; then it `marks` the shard.

    Raises ServeError where it holds another shard's data, or a whole store's where this is one of
    several shards, or a shard's where this is the whole store. Raises StoreUnavailable.
    """
    client, shard = connected
    name, mark = shard.name(keys.SHARD), f"{shard.number} of {shard.of}"
    with round_trip("shard", observer, shard.number):
        # A process that comes first marks its shard before it sweeps, which makes the other key.
        # Read in this order, that key never seems older than the mark.
        is_used = await client.exists(shard.name(keys.BORN))
        if marks and shard != ALONE and not is_used:
            await client.set(name, mark, nx=True)
        (found,) = await client.mget(name)
    held = found.decode(errors="replace") if isinstance(found, bytes) else found
    if shard == ALONE and held is not None:
        raise ServeError(
            f"MULAN_STORE (--store) names one Redis, and there are the jobs of shard {held}: name "
            "all shards, or another server that is empty"
        )
    if shard != ALONE and held != mark and (is_used or held is not None):
        whose = "a Redis that was alone" if held is None else f"shard {held}"
        raise ServeError(
            f"MULAN_STORE (--store) names {shard.of} shards, and where shard {shard.number} should "
            f"be are the jobs of {whose}: use the number and the order of before, or other "
            "servers that are empty"
        )


async def wait_until_reachable(
    connected: Connected, observer: StoreObserver = NULL_OBSERVER
) -> None:
    """Wait until the Redis of a shard answers. Raises ServeError for a Redis that is too old, and
    for one that holds another shard's data."""
    while True:
        try:
            await check(connected, observer)
            return await check_shard(connected, observer)
        except StoreUnavailable as error:
            tell_each_minute(logger, logging.WARNING, f"{error}; trying again")
        await asyncio.sleep(_RETRY_AFTER_S)


def reason(error: Exception) -> str:
    """Return why Redis does not answer as it should, as a log may show it."""
    text = f"{type(error).__name__}: {error}"
    for secret in _secrets:
        text = text.replace(secret, "***")
    return ascii(text)[1:-1][:_SHOWN]


def _unavailable(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(f"the queue cannot be reached ({type(error).__name__})", _RETRY_AFTER_S)
