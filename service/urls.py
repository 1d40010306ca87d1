"""URLs that may hold a password: one that is none is not shown, of another the place alone."""

import re
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

_ENCODE = (
    "in a user name or a password every character but letters, digits and -._~ has to be "
    "percent-encoded: # is %23, / is %2F, ? is %3F, @ is %40"
)
REDIS = f"should be redis://user:password@host:port/number; {_ENCODE}"
COLLECTOR = f"should be http://host:port, without ? and #; {_ENCODE}"
# A library would drop these without a word, and call a host that nobody meant.
_NEVER = re.compile(r"[\x00-\x20\x7f#]")
# RFC 3986. What parses other characters in its own way would tell what it makes of them.
_STANDARD = re.compile(r"[A-Za-z0-9\-._~:/@!$&'()*+,;=%\[\]]*")
_DATABASE = re.compile(r"/?\d*/?")


class UrlError(ValueError):
    """Text that is no URL of its kind; says what one is, and repeats nothing of the text."""


def redis_url(text: str) -> SplitResult:
    """The URL of a Redis. Raises UrlError."""
    parts = _split(text, ("redis", "rediss", "unix"))
    if parts is None or not (parts.scheme == "unix" or _DATABASE.fullmatch(parts.path)):
        raise UrlError(REDIS)
    return parts


def collector_url(text: str) -> SplitResult:
    """The URL of a collector of traces; a key for it goes into a header. Raises UrlError."""
    parts = _split(text, ("http", "https"))
    if parts is None or not parts.hostname or not _STANDARD.fullmatch(text):
        raise UrlError(COLLECTOR)
    return parts


def place(parts: SplitResult) -> str:
    """Where a URL leads to, as it may be logged: without user, password and options."""
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path}"


def _split(text: str, schemes: Collection[str]) -> SplitResult | None:
    """A URL's parts, or None. The last @ ends user and password: one that comes later than the
    host begins was cut off from them by a character that should have been encoded."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    cut = "@" in parts.path or "@" in parts.query
    known = parts.scheme in schemes and text[len(parts.scheme) :].startswith("://")
    return parts if known and not cut and not _NEVER.search(text) else None
