"""Bodies into requests and parts."""

import base64
import binascii
from collections.abc import Iterable
from typing import TypeVar

import anyio
from pydantic import BaseModel, TypeAdapter, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from service.api import problem
from service.codec import Upload
from service.errors import InvalidRequest, MalformedBody, TooLarge

Model = TypeVar("Model", bound=BaseModel)

_LARGE = 1 << 16
_MAX_FIELDS = 16
_MAX_FIELD_BYTES = 1024


async def read_json(request: Request, model: type[Model] | TypeAdapter[Model]) -> Model:
    """The body as a request; a large one is parsed off the event loop.

    Raises MalformedBody, InvalidRequest.
    """
    body = await request.body()
    if len(body) < _LARGE:
        return _parse_json(body, model)
    return await anyio.to_thread.run_sync(_parse_json, body, model)


def parse_fields(fields: Iterable[tuple[str, str]], model: type[Model]) -> Model:
    """Text fields as a request. Raises InvalidRequest, also for a field that comes twice."""
    given: dict[str, str] = {}
    for name, value in fields:
        if name in given:
            raise InvalidRequest.at(name, "is given more than once")
        given[name] = value
    try:
        return model.model_validate_strings(given, strict=True)
    except ValidationError as error:
        raise problem.invalid(error) from error


def from_base64(texts: Iterable[str], name: str) -> list[Upload]:
    """Base64 texts as parts. Raises MalformedBody."""
    parts = []
    for index, text in enumerate(texts):
        label = f"{name}[{index}]"
        try:
            parts.append(Upload(label, base64.b64decode(text, validate=True)))
        except (binascii.Error, ValueError) as error:
            raise MalformedBody(f"{label}: not base64") from error
    return parts


async def read_multipart(
    request: Request, name: str, max_parts: int
) -> tuple[list[Upload], list[tuple[str, str]]]:
    """Files of a form, all named `name`, and its text fields.

    Raises MalformedBody, InvalidRequest for a file of another name, and TooLarge
    (too-many-images) past `max_parts` files.
    """
    _, options = parse_options_header(request.headers["content-type"])
    boundary = options.get(b"boundary", b"")
    if not boundary or b"--" + boundary + b"--" not in await request.body():
        raise MalformedBody("the multipart body is truncated, or names no boundary")
    parts: list[Upload] = []
    fields: list[tuple[str, str]] = []
    try:
        async with request.form(
            max_files=max_parts, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD_BYTES
        ) as form:
            for key, value in form.multi_items():
                if not isinstance(value, UploadFile):
                    fields.append((key, value))
                elif key != name:
                    raise InvalidRequest.at(key, f"no such file; files are named {name}")
                else:
                    parts.append(Upload(f"{name}[{len(parts)}]", await value.read()))
    except HTTPException as error:
        if error.detail.startswith("Too many files"):
            raise TooLarge("too-many-images", f"more than {max_parts} images") from error
        raise MalformedBody(error.detail) from error
    except UnicodeError as error:
        raise MalformedBody("the form's fields are no text in its charset") from error
    return parts, fields


def _parse_json(body: bytes, model: type[Model] | TypeAdapter[Model]) -> Model:
    adapter = model if isinstance(model, TypeAdapter) else TypeAdapter(model)
    try:
        return adapter.validate_json(body, strict=True)
    except ValidationError as error:
        raise problem.invalid(error) from error
