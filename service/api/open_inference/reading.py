"""Requests for inference as requests of a kind of work."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from service.api import problem
from service.api.bodies import aside, parse_json, read_body
from service.api.kinds import Asked
from service.api.negotiation import check_encoding
from service.api.open_inference import binary
from service.api.open_inference.contract import InferRequest, InputTensor, RequestedOutput
from service.api.open_inference.variants import Variant
from service.api.problem import shorten
from service.contracts.base import PRIORITIES
from service.contracts.tensors import ANY, BYTES, IMAGES, Tensor, TensorSpec
from service.errors import InvalidRequest, MalformedBody
from service.images.npy import encode_npy
from service.images.texts import from_base64
from service.images.upload import Upload

HEADER = "Inference-Header-Content-Length"
# Elements of all tensors that come as JSON; more have to be binary.
MOST_ELEMENTS = 1 << 20
_MICROSECONDS = 1_000_000
_LONGEST = 16  # Digits of a length.


class Wish(NamedTuple):
    """The outputs that a request wants, each with whether it should be binary."""

    id: str | None
    outputs: dict[str, bool]


async def read(request: Request, variant: Variant) -> tuple[Asked, Wish]:
    """Return the request of the variant's kind that a body stands for. Raises BadRequest."""
    check_encoding(request)
    body = await read_body(request)
    length = _header_length(request, len(body))
    return await aside(body, lambda: _parse(body[:length], body[length:], variant))


def _header_length(request: Request, size: int) -> int:
    """Return how many bytes of a body of `size` bytes are JSON."""
    given = request.headers.get(HEADER)
    if given is None:
        return size
    if not (given.isascii() and given.isdecimal() and len(given) <= _LONGEST):
        raise InvalidRequest.at(HEADER, "should be a number of bytes")
    if int(given) > size:
        raise InvalidRequest.at(HEADER, f"is {int(given)}, and the body has {size} bytes")
    return int(given)


def _parse(text: bytes, data: bytes, variant: Variant) -> tuple[Asked, Wish]:
    wanted = parse_json(text, InferRequest, MOST_ELEMENTS)
    wish = Wish(wanted.id, _outputs(wanted, variant))
    specs = {spec.name: spec for spec in variant.form.inputs(variant.model)}
    _check_names(wanted.inputs, specs, variant, "input")
    tensors = dict(
        zip((one.name for one in wanted.inputs), binary.read(wanted.inputs, data), strict=True)
    )
    missing = [name for name, spec in specs.items() if not spec.optional and name not in tensors]
    if missing:
        raise InvalidRequest.at(missing[0], f"is missing; {variant.name} needs it")
    parts = _images(tensors.pop(IMAGES)) if IMAGES in tensors else []
    values = _parameters(wanted.parameters)
    for name, tensor in tensors.items():
        if name in values:
            raise InvalidRequest.at(name, "is given as an input and as a parameter")
        values[name] = _value(tensor, specs[name])
    if "model" in values:
        raise InvalidRequest.at("model", "is in the path; leave the parameter out")
    fields = {"model": variant.model.name, **variant.form.fields(values)}
    kind = variant.kind
    return Asked(_validated(kind.parameters or kind.request, fields), parts), wish


def _validated(model: type[BaseModel], fields: dict[str, Any]) -> Any:
    try:
        return model.model_validate_json(json.dumps(fields), strict=True)
    except ValidationError as error:
        raise problem.invalid(error) from error


def _outputs(wanted: InferRequest, variant: Variant) -> dict[str, bool]:
    """Return the wanted outputs, all by default, and which of them are to be binary."""
    specs = {spec.name: spec for spec in variant.form.outputs(variant.model)}
    _check_names(wanted.outputs, specs, variant, "output")
    by_default = _flag(wanted.parameters, "binary_data_output", False)
    found = {}
    for output in wanted.outputs:
        if unknown := output.parameters.keys() - {"binary_data"}:
            raise InvalidRequest.at(output.name, f"takes no parameter {shorten(min(unknown))}")
        found[output.name] = _flag(output.parameters, "binary_data", by_default)
    return found or dict.fromkeys(specs, by_default)


def _check_names(
    tensors: Sequence[InputTensor | RequestedOutput],
    specs: dict[str, TensorSpec],
    variant: Variant,
    what: str,
) -> None:
    """Raise InvalidRequest for a tensor that the model does not have, and for one that comes
    twice."""
    seen = set()
    for tensor in tensors:
        if tensor.name not in specs:
            known = f"{what}s of {variant.name}: {', '.join(specs)}"
            raise InvalidRequest.at(shorten(tensor.name), f"is no {what} of the model; {known}")
        if tensor.name in seen:
            raise InvalidRequest.at(tensor.name, f"is an {what} more than once")
        seen.add(tensor.name)


def _flag(parameters: dict[str, Any], name: str, default: bool) -> bool:
    given = parameters.get(name, default)
    if not isinstance(given, bool):
        raise InvalidRequest.at(name, "should be true or false")
    return given


def _parameters(given: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters that are fields of the request, with the protocol's own translated."""
    values = {name: value for name, value in given.items() if name != "binary_data_output"}
    if "timeout" in values:
        timeout = values.pop("timeout")
        if type(timeout) is not int or timeout <= 0 or "timeout_s" in values:
            raise InvalidRequest.at(
                "timeout", "should be microseconds, a whole number above 0, without timeout_s"
            )
        values["timeout_s"] = timeout / _MICROSECONDS
    priority = values.get("priority")
    if type(priority) is int:
        # 0 is the default and 1 the highest.
        names = sorted(PRIORITIES, key=PRIORITIES.__getitem__, reverse=True)
        if not 0 <= priority <= len(names):
            raise InvalidRequest.at("priority", f"should be 0 to {len(names)}, 1 the highest")
        values["priority"] = names[priority - 1] if priority else "normal"
    return values


def _value(tensor: Tensor, spec: TensorSpec) -> Any:
    """Return the value of an input that is no image: a list where its size may be any, else a
    single element. Raises InvalidRequest."""
    if tensor.datatype != spec.datatype:
        raise InvalidRequest.at(
            spec.name, f"datatype {tensor.datatype}, expected {spec.datatype}", "wrong-dtype"
        )
    elements: Any = tensor.elements
    flat = elements.ravel().tolist() if isinstance(elements, np.ndarray) else list(elements)
    if spec.shape == (ANY,):
        return flat
    if len(flat) != 1:
        raise InvalidRequest.at(
            spec.name, f"shape {list(tensor.shape)}, expected {list(spec.shape)}"
        )
    if isinstance(flat[0], bytes):
        try:
            return flat[0].decode()
        except UnicodeDecodeError as error:
            raise MalformedBody(f"{spec.name}: is not UTF-8") from error
    return flat[0]


def _images(tensor: Tensor) -> list[Upload]:
    """Return images as they would have come as files. Raises InvalidRequest, MalformedBody."""
    elements = tensor.elements
    if tensor.datatype == "UINT8" and isinstance(elements, np.ndarray):
        # A tensor of tokens is an .npy without its header, and is judged as one.
        return [Upload(IMAGES, encode_npy(elements))]
    if tensor.datatype != BYTES or isinstance(elements, np.ndarray):
        raise InvalidRequest.at(
            IMAGES,
            f"datatype {tensor.datatype}, expected UINT8 tokens [N, H, W, C] or BYTES files [N]",
            "wrong-dtype",
        )
    if tensor.shape not in ((len(elements),), (len(elements), 1)):
        raise InvalidRequest.at(
            IMAGES, f"shape {list(tensor.shape)}, expected [N] for BYTES", "wrong-image-shape"
        )
    if any(isinstance(one, str) for one in elements):
        return from_base64([one for one in elements if isinstance(one, str)], IMAGES)
    files = (one for one in elements if isinstance(one, bytes))
    return [Upload(f"{IMAGES}[{index}]", one) for index, one in enumerate(files)]
