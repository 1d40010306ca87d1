"""Bodies into requests and parts."""

import codecs
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

import anyio
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import Request

from service.api import multipart, problem
from service.api.problem import shorten
from service.errors import InvalidRequest, MalformedBody, TooLarge
from service.images.upload import ACCEPTED, Upload
from service.settings import Settings

Result = TypeVar("Result")
Model = TypeVar("Model", bound=BaseModel)

# Bytes from which on a body is parsed beside the event loop.
_LARGE = 1 << 13
_ONE_AT_A_TIME = anyio.CapacityLimiter(1)
_MOST_FIELDS = 16
_MOST_FIELD_BYTES = 1024
_MOST_PARAMETERS = 64
# Commas in a JSON body: those of a request that is right, and some.
_MOST_VALUES = 10_000
_VALUES_AN_IMAGE = 4
_TWICE = "is given more than once"


async def read_body(request: Request) -> bytes:
    """The whole body, which the request does not keep. Raises TooLarge, and what `Refusal` has."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
    return bytes(body)


async def read_json(request: Request, model: type[Model] | TypeAdapter[Model]) -> Model:
    """The body as a request. Raises MalformedBody, and InvalidRequest also for a query."""
    settings: Settings = request.app.state.context.settings
    body = (await read_body(request)).removeprefix(codecs.BOM_UTF8)
    for name in request.query_params:
        raise InvalidRequest.at(shorten(name), "goes into the JSON body, not into the query")
    most = _MOST_VALUES + _VALUES_AN_IMAGE * settings.max_images
    return await aside(body, lambda: parse_json(body, model, most))


def parse_fields(fields: Iterable[tuple[str, str]], model: type[Model]) -> Model:
    """Text fields as a request. Raises InvalidRequest, also for a field that comes twice."""
    given: dict[str, str] = {}
    for name, value in fields:
        if name in given:
            raise InvalidRequest.at(shorten(name), _TWICE)
        if len(given) == _MOST_PARAMETERS:
            raise InvalidRequest.at(shorten(name), "is one parameter too many")
        given[name] = value
    try:
        return model.model_validate_strings(given, strict=True)
    except ValidationError as error:
        raise problem.invalid(error) from error


async def read_multipart(
    request: Request, name: str, max_parts: int
) -> tuple[list[Upload], list[tuple[str, str]]]:
    """Parts of a form that are called `name`, with a file name or without, and its other fields,
    which are text.

    Raises MalformedBody, InvalidRequest for a file of another name and for text of that one, and
    TooLarge (too-many-images) past `max_parts` of that name.
    """
    body = await read_body(request)
    kind = request.headers["content-type"]
    parts = await aside(body, lambda: multipart.split(body, kind, max_parts + _MOST_FIELDS + 1))
    uploads: list[Upload] = []
    fields: list[tuple[str, str]] = []
    for part in parts:
        if part.name == name:
            upload = Upload(f"{name}[{len(uploads)}]", part.content)
            if not (part.is_file or upload.known):
                raise InvalidRequest.at(upload.label, f"is not a file; {ACCEPTED}")
            uploads.append(upload)
        elif part.is_file:
            raise InvalidRequest.at(part.name, f"no such file; files are named {name}")
        elif len(part.content) > _MOST_FIELD_BYTES:
            raise MalformedBody(f"{part.name}: a field has at most {_MOST_FIELD_BYTES} bytes")
        else:
            fields.append((part.name, multipart.to_text(part.content)))
    if len(uploads) > max_parts:
        raise TooLarge("too-many-images", f"more than {max_parts} images")
    return uploads, fields


def parse_json(body: bytes, model: type[Model] | TypeAdapter[Model], most: int) -> Model:
    """A request in JSON. Raises MalformedBody, and InvalidRequest also for a name that comes twice
    in one object and for more than `most` values, whose faults would be as many."""
    if body.count(b",") > most:
        raise InvalidRequest.at("body", f"has more than {most} values")
    _check_names(body)
    validate = model.validate_json if isinstance(model, TypeAdapter) else model.model_validate_json
    try:
        return validate(body, strict=True)
    except ValidationError as error:
        raise problem.invalid(error, isinstance(model, TypeAdapter)) from error


def _check_names(body: bytes) -> None:
    """Refuse a name that comes twice in one object. Text that is not JSON is left to the parser."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise MalformedBody("the body is not UTF-8") from error
    # Numbers may be longer than Python would read.
    skip: Any = {"parse_int": bool, "parse_float": bool, "parse_constant": bool}
    with suppress(ValueError, RecursionError):
        json.loads(text, object_pairs_hook=_unique, **skip)


def _unique(members: list[tuple[str, Any]]) -> None:
    names = set()
    for name, _ in members:
        if name in names:
            raise InvalidRequest.at(shorten(name), _TWICE)
        names.add(name)


async def aside(body: bytes, parse: Callable[[], Result]) -> Result:
    """Parse a large body beside the event loop, one at a time: what it is made of takes memory."""
    if len(body) < _LARGE:
        return parse()
    return await anyio.to_thread.run_sync(parse, limiter=_ONE_AT_A_TIME)
