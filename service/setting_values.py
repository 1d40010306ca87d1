"""Single settings: how their text is read, and what is refused. Each function raises ValueError,
whose message goes on from the setting's name."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import limits

from service import urls

MEMORY = "memory"
# Values of the label `source` for images without one, and with one that the process does not know.
NO_SOURCE, OTHER_SOURCE = "none", "other"
# Each has dozens of series for each model.
_MOST_SOURCES = 32


def digests(keys: Any) -> Any:
    """Return the SHA-256 of each comma-separated key, so that the keys themselves are not kept."""
    if not isinstance(keys, str):
        return keys
    stripped = (key.strip() for key in keys.split(","))
    try:
        return tuple(hashlib.sha256(key.encode()).digest() for key in stripped if key)
    except UnicodeError:
        # The error's own text would show a character of the key.
        raise ValueError("should be UTF-8") from None


def listed(names: Any) -> Any:
    """Return comma-separated names as a tuple."""
    if not isinstance(names, str):
        return names
    return tuple(name.strip() for name in names.split(",") if name.strip())


def sources(names: tuple[str, ...]) -> tuple[str, ...]:
    """Check the names of sources, which become values of a label. Raises ValueError."""
    if len(names) > _MOST_SOURCES:
        raise ValueError(f"should be at most {_MOST_SOURCES} names")
    if not all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name) for name in names):
        raise ValueError("should be names of at most 64 letters, digits, dots, dashes, underscores")
    if len(set(names)) < len(names):
        raise ValueError("names a source twice")
    if taken := {NO_SOURCE, OTHER_SOURCE} & set(names):
        raise ValueError(f"may not contain {min(taken)}, which metrics use themselves")
    return names


def rate(text: str) -> str:
    """Check a rate. Raises ValueError."""
    if text:
        try:
            limits.parse(text)
        except ValueError as error:
            raise ValueError("should be a rate, as 60/minute") from error
    return text


def store(text: str) -> str:
    """Raises ValueError for what is neither memory nor the URL of a Redis."""
    if text != MEMORY:
        try:
            urls.redis_url(text)
        except urls.UrlError as error:
            raise ValueError(f"should be {MEMORY}, or it {error}") from error
    return text


def collector(text: str) -> str:
    """Raises ValueError for what is no URL of a collector."""
    if text:
        urls.collector_url(text)
    return text


def devices(text: str) -> str:
    """Check the names of devices. Raises ValueError."""
    names = text.split(",")
    if text not in ("all", "cpu") and not all(re.fullmatch(r"cuda:\d+", name) for name in names):
        raise ValueError("should be cpu, all, or CUDA devices, as cuda:0,cuda:1")
    if len(set(names)) < len(names):
        raise ValueError("names a device twice")
    return text


def folder(path: Any) -> Any:
    """Return None for an empty path, which would be the present folder."""
    return None if path == "" else path


def cache() -> Path:
    """The user's folder of what can be made again; a user may have no home."""
    home = Path(os.environ.get("HOME", "/"))
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "mulan-serve"
