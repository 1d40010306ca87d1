"""Images that come with a request: as JSON, as a form, or as one file."""

from collections.abc import Sequence
from typing import Protocol, TypeVar, cast

import anyio
import numpy as np
from pydantic import BaseModel
from starlette.requests import Request

from models.schema.preprocessing import PictureRule
from service.api.bodies import parse_fields, read_body, read_json, read_multipart
from service.api.context import Context
from service.api.negotiation import JSON, MULTIPART, NPY, PHOTOGRAPHS, PNG, body_type
from service.catalogue import ServedModel
from service.errors import InvalidRequest, MalformedBody, TooLarge
from service.images import photographs, reading
from service.images.texts import from_base64
from service.images.upload import Upload
from service.jobs import Decoded
from service.settings import Settings

Parameters = TypeVar("Parameters", bound=BaseModel)
# Bodies that are one file, and the form of that file.
FORMS = {PNG: "PNG", NPY: ".npy", **PHOTOGRAPHS}


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
    match body_type(request, (MULTIPART, *FORMS, JSON)):
        case "application/json":
            wanted = await read_json(request, whole)
            return wanted, await json_images(cast(Images, wanted).images, context)
        case media_type if media_type in FORMS:
            part = Upload("images", await read_body(request))
            is_photograph = media_type in PHOTOGRAPHS
            if not part.has_form(FORMS[media_type]) and (is_photograph or part.form):
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
        if part.has_form(".npy"):
            raise MalformedBody(f"{part.label}: a .npy; JSON carries PNGs only")
    return parts


def count(parts: Sequence[Upload], model: ServedModel, settings: Settings) -> int:
    """Number of images that the parts declare, or of tiles that their photographs will have; none
    is decoded. Raises MalformedBody, InvalidRequest, UnsupportedMediaType, TooLarge."""
    rule = _rule(parts, model)
    if rule is not None:
        return photographs.count_tiles(parts, rule, settings.max_photograph_pixels)
    return sum(reading.count_images(part) for part in parts)


def decode(parts: Sequence[Upload], model: ServedModel, settings: Settings) -> Decoded:
    """Tokens of images that were counted and priced. Raises what `count` does."""
    rule = _rule(parts, model)
    if rule is not None:
        return photographs.decode_photographs(parts, rule, settings.max_photograph_pixels)
    pixels = settings.max_image_pixels
    return Decoded(np.concatenate([reading.decode(part, model.config, pixels) for part in parts]))


def _rule(parts: Sequence[Upload], model: ServedModel) -> PictureRule | None:
    """The rule for the photographs of a request; None where the images are tokens as they are."""
    arrays = sum(part.has_form(".npy") for part in parts)
    if model.manifest.preprocessing is None or (arrays and arrays == len(parts)):
        return None
    if arrays:
        raise InvalidRequest.at("images", "should be photographs or arrays of tokens, not both")
    return model.manifest.preprocessing
