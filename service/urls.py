"""Checks of URLs that may hold a password, and the part of them that a log may show.

A text that is no valid URL is never repeated: nobody can tell where in it a password stands.
"""

import re
from collections.abc import Collection
from typing import Literal, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

_ENCODE = (
    "in a user name or a password every character but letters, digits and -._~ has to be "
    "percent-encoded: # is %23, / is %2F, ? is %3F, @ is %40"
)
REDIS = (
    "should be redis://user:password@host:port/number, or for several servers of one user and "
    f"password redis://user:password@host:port,host:port/number; {_ENCODE}"
)
CLUSTER = f"should be redis+cluster://user:password@host:port,host:port/?shards=3; {_ENCODE}"
SENTINEL = f"should be redis+sentinel://user:password@host:port,host:port/name/number; {_ENCODE}"
WITHOUT_TLS = "has parameters of TLS, and a scheme that means none: begin it with rediss"
ONE_DATABASE = "names a database, and a Redis Cluster has no other than 0: leave it out"
COLLECTOR = f"should be http://host:port, without ? and #; {_ENCODE}"
# Shards of a Redis Cluster where its URL names no number, and at most.
SHARDS, MOST_SHARDS = 3, 64
# urllib drops white space, and a fragment is what an unescaped # in a password leaves.
_NEVER = re.compile(r"[\x00-\x20\x7f#]")
# RFC 3986. The library for HTTP treats a backslash as a slash, and shows what it cannot parse.
_STANDARD = re.compile(r"[A-Za-z0-9\-._~:/@!$&'()*+,;=%\[\]]*")
_DATABASE = re.compile(r"/?\d*/?")
_SERVERS = re.compile(r"(rediss?)(?:\+(cluster|sentinel))?://([^/?#]*)([^?#]*)(.*)", re.DOTALL)
_SENTINEL_PATH = re.compile(r"/([A-Za-z0-9._-]+)(/\d*)?")


class UrlError(ValueError):
    """Raised for a text that is not the expected URL; the message repeats nothing of the text."""


class RedisUrl(NamedTuple):
    """The URL of one Redis, of several, of a Redis Cluster, or of the Sentinels of a Redis.

    `servers` has a plain URL for each host that it names: those of Sentinels have the user, the
    password and the database of the Redis that they watch over by the name `primary`. `shards` is
    the number of parts into which the store is divided.
    """

    kind: Literal["plain", "cluster", "sentinel"]
    servers: tuple[str, ...]
    shards: int = 1
    primary: str = ""
    sentinel_password: str | None = None

    @property
    def passwords(self) -> tuple[str, ...]:
        """The passwords in the URL, as they stand there and decoded."""
        parts = urlsplit(self.servers[0])
        given = [part.partition("=") for part in parts.query.split("&")]
        found = {value for name, _, value in given if name in ("password", "ssl_password")}
        found |= {self.sentinel_password or "", parts.password or ""}
        return tuple({*found, *map(unquote, found)} - {""})

    @property
    def place(self) -> str:
        """The URL as it may be logged: schemes, hosts, ports and paths."""
        places = [place(urlsplit(server)) for server in self.servers]
        if self.kind == "plain":
            return ",".join(places)
        scheme = places[0].partition("://")[0]
        hosts = ",".join(one.partition("://")[2].partition("/")[0] for one in places)
        return f"{scheme}+{self.kind}://{hosts}{self.primary and '/'}{self.primary}"


def redis_url(text: str) -> RedisUrl:
    """Read the URL of a store in Redis. Raises UrlError."""
    found = _SERVERS.fullmatch(text)
    if found is None:
        return RedisUrl("plain", (_server(text, REDIS),))
    scheme, kind, authority, path, query = found.groups()
    user, at, hosts = authority.rpartition("@")
    each = [f"{scheme}://{user}{at}{host}" for host in hosts.split(",")]
    if any(len(each) > 1 and not host for host in hosts.split(",")) or _names_several(user):
        raise UrlError(form(text))
    if kind == "cluster":
        query, shards = _without(query, "shards")
        query, database = _without(query, "db")
        if database not in (None, "0") or re.fullmatch(r"/0*[1-9]\d*", path):
            raise UrlError(ONE_DATABASE)
        number = SHARDS if shards is None else int(shards) if shards.isdecimal() else 0
        if path not in ("", "/", "/0") or not 1 <= number <= MOST_SHARDS:
            raise UrlError(CLUSTER)
        servers = tuple(_server(one + "/0" + query, CLUSTER) for one in each)
        return RedisUrl("cluster", servers, number)
    if kind == "sentinel":
        query, password = _without(query, "sentinel_password")
        watched = _SENTINEL_PATH.fullmatch(path)
        if watched is None:
            raise UrlError(SENTINEL)
        servers = tuple(_server(one + (watched[2] or "/0") + query, SENTINEL) for one in each)
        password = None if password is None else unquote(password)
        return RedisUrl("sentinel", servers, 1, watched[1], password)
    servers = tuple(_server(one + path + query, REDIS) for one in each)
    return RedisUrl("plain", servers, len(servers))


def form(text: str) -> str:
    """Return the form that a URL of Redis should have, for an error about `text`, by its scheme; or
    what else is wrong with it."""
    found = _SERVERS.fullmatch(text)
    if found and found[1] == "redis" and re.search("[?&]ssl_", found[5]):
        return WITHOUT_TLS
    return {"cluster": CLUSTER, "sentinel": SENTINEL}.get(found[2] if found else "", REDIS)


def collector_url(text: str) -> SplitResult:
    """Split the URL of a collector of traces, which has no query. Raises UrlError."""
    parts = _split(text, ("http", "https"))
    if parts is None or not parts.hostname or not _STANDARD.fullmatch(text):
        raise UrlError(COLLECTOR)
    return parts


def place(parts: SplitResult) -> str:
    """A URL as it may be logged: scheme, host, port and path, without user, password and query."""
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path}"


def _server(text: str, form: str) -> str:
    """Check the URL of one server. Raises UrlError, which says what the `form` should be."""
    parts = _split(text, ("redis", "rediss", "unix"))
    if parts is None or not (parts.scheme == "unix" or _DATABASE.fullmatch(parts.path)):
        raise UrlError(form)
    return text


def _names_several(user: str) -> bool:
    """Return whether each server has a user and password of its own, as in `:a@first,:b@second`.

    Servers must share theirs: such a URL would be read as one server with an odd password.
    """
    return "," in user.partition("@")[2]


def _without(query: str, name: str) -> tuple[str, str | None]:
    """Take a parameter out of a query, which begins with a question mark. Returns both."""
    given = [part for part in query[1:].split("&") if part]
    rest = [part for part in given if not part.startswith(f"{name}=")]
    values = [part.partition("=")[2] for part in given if part.startswith(f"{name}=")]
    return "?" + "&".join(rest) if rest else "", values[-1] if values else None


def _split(text: str, schemes: Collection[str]) -> SplitResult | None:
    """Split a URL; None if it is not valid.

    An @ in the path or in the query means that an unescaped / or ? in the password ended the host.
    """
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    cut = "@" in parts.path or "@" in parts.query
    known = parts.scheme in schemes and text[len(parts.scheme) :].startswith("://")
    return parts if known and not cut and not _NEVER.search(text) else None
