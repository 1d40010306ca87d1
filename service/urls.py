"""Checks of URLs that may hold a password, and the part of them that a log may show.

A text that is no valid URL is never repeated: nobody can tell where in it a password stands.
"""

import re
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

_ENCODE = (
    "in a user name or a password every character but letters, digits and -._~ has to be "
    "percent-encoded: # is %23, / is %2F, ? is %3F, @ is %40"
)
REDIS = f"should be redis://user:password@host:port/number; {_ENCODE}"
COLLECTOR = f"should be http://host:port, without ? and #; {_ENCODE}"
# urllib drops white space, and a fragment is what an unescaped # in a password leaves.
_NEVER = re.compile(r"[\x00-\x20\x7f#]")
# RFC 3986. The library for HTTP treats a backslash as a slash, and shows what it cannot parse.
_STANDARD = re.compile(r"[A-Za-z0-9\-._~:/@!$&'()*+,;=%\[\]]*")
_DATABASE = re.compile(r"/?\d*/?")


class UrlError(ValueError):
    """Raised for a text that is not the expected URL; the message repeats nothing of the text."""


def redis_url(text: str) -> SplitResult:
    """Split the URL of a Redis. Raises UrlError."""
    parts = _split(text, ("redis", "rediss", "unix"))
    if parts is None or not (parts.scheme == "unix" or _DATABASE.fullmatch(parts.path)):
        raise UrlError(REDIS)
    return parts


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
