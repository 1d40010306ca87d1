"""The log: JSON for machines, or text for a terminal, with the ids of request and job.

Modules log by the standard library, and give the ids that they know as `extra`. A record that is
made while a request is answered has the id of that request.
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
    """Have all loggers, those of libraries too, write to standard error, unless logging has been
    configured already. The format `auto` is text on a terminal and JSON elsewhere."""
    as_json = chosen == "json" or (chosen == "auto" and not sys.stderr.isatty())
    handler = logging.StreamHandler()
    handler.addFilter(_identify)
    handler.setFormatter(json_formatter() if as_json else Text())
    logging.basicConfig(level=level.upper(), handlers=[handler])


@contextmanager
def of_request(request_id: str) -> Iterator[None]:
    """Give the id of a request to all records that are made in this context."""
    token = _request_id.set(request_id)
    try:
        yield
    finally:
        _request_id.reset(token)


class Text(logging.Formatter):
    """A format for people: one line a record, with ids at its end."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Format a record, and append the ids that it has."""
        found = [f"{name}={value}" for name in _IDS if (value := getattr(record, name, None))]
        return " ".join([super().formatMessage(record), *found])


def json_formatter() -> logging.Formatter:
    """Return a formatter that writes a record as one JSON object: `time`, `level`, `logger`,
    `message`, the ids, and all other fields of the record."""
    renamed = {"levelname": "level", "name": "logger", "exc_info": "exception"}
    fields = ["levelname", "name", "message"]
    # Uvicorn adds a second message with colours to some records.
    unsaid = [*RESERVED_ATTRS, "color_message"]
    return JsonFormatter(fields, rename_fields=renamed, timestamp="time", reserved_attrs=unsaid)


def _identify(record: logging.LogRecord) -> bool:
    """Give a record the id of the request that is being answered, unless it has one."""
    if not hasattr(record, "request_id") and (found := _request_id.get()):
        record.request_id = found
    return True
