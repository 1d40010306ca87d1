"""The head of a request: what RFC 9112 asks of it beyond what the parser checks."""

import re
from collections.abc import Sequence

from service.errors import HeadersTooLarge, MalformedRequest, UnsupportedMediaType

MOST_BYTES = 1 << 16
MOST_LINES = 100

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]*)(:[0-9]*)?")
_URL = re.compile(rb"https?://[^/?#]+", re.IGNORECASE)


def check(version: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Raises MalformedRequest for another version than HTTP/1.0 and 1.1, a Host that is missing,
    doubled or no host, and chunks in HTTP/1.0; UnsupportedMediaType for another transfer coding
    than `chunked`. Names of `headers` are in lower case."""
    if version not in ("1.0", "1.1"):
        raise MalformedRequest(f"HTTP/{version} is not spoken here; HTTP/1.1 is")
    hosts = [value for name, value in headers if name == b"host"]
    if not hosts and version == "1.1":
        raise MalformedRequest("the request has no Host header")
    if len(hosts) > 1 or not all(map(_HOST.fullmatch, hosts)):
        raise MalformedRequest("the request's Host header is not one host")
    for name, value in headers:
        if name == b"transfer-encoding":
            if version == "1.0":
                raise MalformedRequest("HTTP/1.0 has no Transfer-Encoding")
            if value.strip().lower() != b"chunked":
                raise UnsupportedMediaType("of transfer codings, only chunked is read")


def split(target: bytes) -> tuple[bytes, bytes]:
    """Path and query of a request's target, which may be a whole URL. Raises MalformedRequest."""
    if not target.startswith(b"/"):
        if not (url := _URL.match(target)):
            raise MalformedRequest("the request's target is neither a path nor an http URL")
        target = target[url.end() :]
    path, _, query = target.partition(b"#")[0].partition(b"?")
    return path or b"/", query


def too_large() -> HeadersTooLarge:
    """The problem of a request with more around its body than a request needs."""
    return HeadersTooLarge(
        f"request line, header lines, trailers and chunk extensions have more than {MOST_BYTES} "
        f"bytes or {MOST_LINES} lines"
    )
