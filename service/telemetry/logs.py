"""Logs: JSON for machines, text on a terminal; a record says which request and job it is about.

Modules log by the standard library, with the ids that they know of as `extra`. Whatever is logged
while a request is answered has that request's.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

Format = Literal["auto", "json", "text"]

_IDS = ("request_id", "job_id")
_request_id: ContextVar[str] = ContextVar("request_id", default="")


def configure(level: str, chosen: Format) -> None:
    """Have every logger, the libraries' too, write to standard error, unless this was seen to
    already; `auto` is text on a terminal and JSON elsewhere."""
    as_json = chosen == "json" or (chosen == "auto" and not sys.stderr.isatty())
    handler = logging.StreamHandler()
    handler.addFilter(_identify)
    handler.setFormatter(json_formatter() if as_json else Text())
    logging.basicConfig(level=level.upper(), handlers=[handler])


@contextmanager
def of_request(request_id: str) -> Iterator[None]:
    """Whatever is logged within has the request's id."""
    token = _request_id.set(request_id)
    try:
        yield
    finally:
        _request_id.reset(token)


class Text(logging.Formatter):
    """A line for people, ids at its end."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """With the ids that the record has."""
        found = [f"{name}={value}" for name in _IDS if (value := getattr(record, name, None))]
        return " ".join([super().formatMessage(record), *found])


def json_formatter() -> logging.Formatter:
    """One object a line: `time`, `level`, `logger`, `message`, ids, and whatever else is known."""
    renamed = {"levelname": "level", "name": "logger", "exc_info": "exception"}
    fields = ["levelname", "name", "message"]
    # Uvicorn says some things twice, the second time for a terminal.
    unsaid = [*RESERVED_ATTRS, "color_message"]
    return JsonFormatter(fields, rename_fields=renamed, timestamp="time", reserved_attrs=unsaid)


def _identify(record: logging.LogRecord) -> bool:
    """Give a record the id of the request that is being answered, unless it names its own."""
    if not hasattr(record, "request_id") and (found := _request_id.get()):
        record.request_id = found
    return True
