"""Bodies into requests and parts."""

from collections.abc import Iterable
from typing import TypeVar

import anyio
from pydantic import BaseModel, TypeAdapter, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from service.api import problem
from service.api.form_parser import ImageFormParser
from service.errors import InvalidRequest, MalformedBody, TooLarge
from service.images.upload import ACCEPTED, Upload

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


async def read_multipart(
    request: Request, name: str, max_parts: int
) -> tuple[list[Upload], list[tuple[str, str]]]:
    """Files of a form, all named `name`, and its text fields.

    A file needs no file name. Raises MalformedBody, InvalidRequest for a file of another name, and
    TooLarge (too-many-images) past `max_parts` files.
    """
    _, options = parse_options_header(request.headers["content-type"])
    boundary = options.get(b"boundary", b"")
    if not boundary or b"--" + boundary + b"--" not in await request.body():
        raise MalformedBody("the multipart body is truncated, or names no boundary")
    parts: list[Upload] = []
    fields: list[tuple[str, str]] = []
    parser = ImageFormParser(
        name,
        request.headers,
        request.stream(),
        max_files=max_parts,
        max_fields=_MAX_FIELDS,
        max_part_size=_MAX_FIELD_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise TooLarge("too-many-images", f"more than {max_parts} images") from error
        raise MalformedBody(error.message) from error
    except UnicodeError as error:
        raise MalformedBody("the form's fields are no text in its charset") from error
    try:
        for key, value in form.multi_items():
            if not isinstance(value, UploadFile):
                fields.append((key, value))
            elif key != name:
                raise InvalidRequest.at(key, f"no such file; files are named {name}")
            else:
                parts.append(Upload(f"{name}[{len(parts)}]", await value.read()))
                if not (value.filename or parts[-1].known):
                    raise InvalidRequest.at(parts[-1].label, f"is not a file; {ACCEPTED}")
    finally:
        await form.close()
    return parts, fields


def _parse_json(body: bytes, model: type[Model] | TypeAdapter[Model]) -> Model:
    adapter = model if isinstance(model, TypeAdapter) else TypeAdapter(model)
    try:
        return adapter.validate_json(body, strict=True)
    except ValidationError as error:
        raise problem.invalid(error) from error
