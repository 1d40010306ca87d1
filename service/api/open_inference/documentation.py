"""Parts of /openapi.json about /v2 that do not follow from the types of routes."""

from typing import Any

from service.api import documentation
from service.api.negotiation import JSON
from service.api.open_inference.contract import (
    IndexRequest,
    InferRequest,
    InferResponse,
    OpenInferenceError,
)
from service.api.open_inference.reading import HEADER
from service.api.open_inference.writing import OCTETS

_MEANINGS = {
    400: "The request is malformed, or asks for what the model does not have.",
    401: "An API key is needed, or another one.",
    404: "The name is that of no model, version or path.",
    408: "The request did not arrive in time.",
    413: "The body, or the number of images, is too large.",
    415: "The body is compressed.",
    429: "The queue is full, or the key has used up its rate.",
    431: "The headers are too large.",
    500: "The computation failed.",
    503: "The service is not ready, or its store is away.",
    504: "The time ran out.",
}
EXAMPLES: dict[str, Any] = {
    "samples": {
        "summary": "Four images of the model `digits`",
        "value": {
            "id": "one",
            "inputs": [
                {"name": "count", "shape": [1], "datatype": "INT32", "data": [4]},
                {"name": "seed", "shape": [1], "datatype": "INT64", "data": [7]},
            ],
            "outputs": [{"name": "images"}, {"name": "nfe"}],
        },
    },
    "anomaly": {
        "summary": "A verdict on an image by `digits.anomaly`",
        "value": {
            "inputs": [
                {"name": "images", "shape": [1, 8, 8, 1], "datatype": "UINT8", "data": [0] * 64}
            ],
            "parameters": {"alpha": 0.05},
        },
    },
}
_LENGTH = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "Number of bytes of the body that are JSON; binary data stands behind them.",
    "schema": {"type": "integer", "minimum": 0},
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the responses of these statuses, each an error of the protocol."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        found[status] = {"description": _MEANINGS[status], "model": OpenInferenceError}
        if status in (429, 503):
            found[status]["headers"] = documentation.RETRY
    return found


def answers() -> dict[int | str, dict[str, Any]]:
    """Return every response of `infer`."""
    length = {HEADER: {"description": _LENGTH["description"], "schema": _LENGTH["schema"]}}
    # Generated clients take the first of several media types.
    content = {
        JSON: {"schema": documentation.reference(InferResponse)},
        OCTETS: {"schema": documentation.BINARY},
    }
    success = {"description": "Tensors", "headers": length, "content": content}
    return {200: success, **errors(*_MEANINGS)}


def body() -> dict[str, Any]:
    """Return the request body of `infer`."""
    content = {
        JSON: {"schema": documentation.reference(InferRequest), "examples": EXAMPLES},
        OCTETS: {"schema": documentation.BINARY},
    }
    return {
        "requestBody": {"required": True, "content": content},
        "parameters": [_LENGTH, documentation.IDEMPOTENCY],
    }


def index_body() -> dict[str, Any]:
    """Return the request body of the index, which may be left out."""
    content = {JSON: {"schema": documentation.reference(IndexRequest)}}
    return {"requestBody": {"required": False, "content": content}}
