"""Images that come with a request: as JSON, as a form, or as one file."""

from collections.abc import Sequence
from typing import Protocol, TypeVar, cast

import anyio
import numpy as np
from pydantic import BaseModel
from starlette.requests import Request

from service.api.bodies import parse_fields, read_body, read_json, read_multipart
from service.api.context import Context
from service.api.negotiation import JSON, MULTIPART, NPY, PNG, body_type
from service.catalogue import ServedModel
from service.errors import InvalidRequest, MalformedBody, TooLarge
from service.images import reading
from service.images.texts import from_base64
from service.images.upload import Upload
from service.jobs import Tokens

Parameters = TypeVar("Parameters", bound=BaseModel)
# Bodies that are one file, and the form of that file.
FORMS = {PNG: "PNG", NPY: ".npy"}


class Images(Protocol):
    """A request that carries its images itself, as base64 of PNGs."""

    @property
    def images(self) -> tuple[str, ...]: ...


async def read_images(
    request: Request, context: Context, parameters: type[Parameters], whole: type[Parameters]
) -> tuple[Parameters, list[Upload]]:
    """The request's parameters, and its images as they came, not yet decoded; `whole` is what a
    JSON body is. Raises BadRequest of many kinds."""
    limit = context.settings.max_images
    query = request.query_params.multi_items()
    match body_type(request, (MULTIPART, PNG, NPY, JSON)):
        case "application/json":
            wanted = await read_json(request, whole)
            if query:
                raise InvalidRequest.at(query[0][0], "goes into the JSON body, not into the query")
            return wanted, await json_images(cast(Images, wanted).images, context)
        case "image/png" | "application/x-npy" as media_type:
            part = Upload("images", await read_body(request))
            if part.form != FORMS[media_type]:
                raise MalformedBody(f"the body is not a {FORMS[media_type]}")
            return parse_fields(query, parameters), [part]
        case _:
            parts, fields = await read_multipart(request, "images", limit)
            return parse_fields([*query, *fields], parameters), parts


async def json_images(texts: Sequence[str], context: Context) -> list[Upload]:
    """Images that a JSON body carries. Raises TooLarge, MalformedBody."""
    limit = context.settings.max_images
    if len(texts) > limit:
        raise TooLarge("too-many-images", f"{len(texts)} images; at most {limit}")
    parts = await anyio.to_thread.run_sync(from_base64, texts, "images")
    for part in parts:
        if part.form != "PNG":
            raise MalformedBody(f"{part.label}: a .npy; JSON carries PNGs only")
    return parts


def count(parts: Sequence[Upload]) -> int:
    """Number of images that the parts declare; none is decoded. Raises MalformedBody,
    InvalidRequest."""
    return sum(reading.count_images(part) for part in parts)


def decode(parts: Sequence[Upload], model: ServedModel, context: Context) -> Tokens:
    """Tokens `[N, H, W, C]` of images that were counted and priced."""
    pixels = context.settings.max_image_pixels
    return np.concatenate([reading.decode(part, model.config, pixels) for part in parts])
