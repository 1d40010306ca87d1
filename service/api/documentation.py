"""Parts of /openapi.json that do not follow from the types of routes: bodies, binary answers,
problems."""

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.api import examples
from service.api.job_contract import JOB_REQUESTS
from service.api.negotiation import EVENTS, JSON, MULTIPART, NPY, PHOTOGRAPHS, PNG
from service.api.open_inference.contract import IndexRequest, InferRequest, InferResponse
from service.api.problem import MEDIA_TYPE
from service.contracts.problems import ProblemDetails
from service.contracts.repository import RepositoryRequest
from service.kind import AnyKind
from service.kinds import KINDS

VERSION = version("mulan-serve")
SUMMARY = "Images, likelihoods and anomaly verdicts from MULAN diffusion models."
DESCRIPTION = """\
**Pixels.** A `.npy` carries tokens 0..V-1, uint8, `[N, H, W, C]`. A PNG carries
`round(255 v / (V - 1))`, grey or RGB; one of another form that holds the same pixels exactly (equal
red, green and blue, opaque alpha, a palette, grey of 1, 2 or 4 bits) is taken for what it holds. A
sample can be scored without any conversion.

**Photographs.** A model with `preprocessing` takes PNG, JPEG, BMP, TIFF and WebP of any size and
prepares them by its own rule. Each photograph has one result; a request is priced by tiles.

**Errors** are `application/problem+json` (RFC 9457) with a `code` for programs.
"""

_REF = "#/components/schemas/{model}"
_MEANINGS = {
    400: "malformed-body, malformed-request",
    401: "unauthorized",
    404: "unknown-model",
    406: "not-acceptable",
    408: "request-timeout",
    409: "job-not-finished",
    410: "job-cancelled, result-expired",
    413: "body-too-large, too-many-images, image-too-large",
    415: "unsupported-media-type",
    422: "invalid-request, wrong-image-shape, wrong-dtype, invalid-pixel-value, "
    "request-too-expensive, calibration-missing, idempotency-mismatch",
    429: "queue-full, rate-limited",
    431: "headers-too-large",
    500: "computation-failed",
    503: "not-ready, draining, store-unavailable",
    504: "deadline-exceeded",
}
IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A request that repeats the key of another is the same job. Each caller and "
    "each path has keys of its own.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
RETRY = {
    "Retry-After": {
        "description": "Whole seconds after which to try again.",
        "schema": {"type": "integer"},
    }
}
BINARY = {"type": "string", "format": "binary"}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Responses of these statuses, each a problem."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        found[status] = {
            "description": f"`code`: {_MEANINGS[status]}",
            "content": {MEDIA_TYPE: {"schema": reference(ProblemDetails)}},
        }
        if status in (429, 503):
            found[status]["headers"] = RETRY
    return found


def _job_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Problems of a path that names a job."""
    found = problems(401, 404, *statuses)
    found[404]["description"] = "`code`: unknown-job"
    return found


def answers(kind: AnyKind) -> dict[int | str, dict[str, Any]]:
    """Every response of POST /v1/<kind>."""
    headers = {
        "Server-Timing": {
            "description": "Milliseconds in the queue and at work: `queue;dur=…, run;dur=…`.",
            "schema": {"type": "string"},
        }
    }
    success = {
        "description": "The result",
        "headers": headers,
        "content": {JSON: {"schema": reference(kind.response)}, **_binaries(kind)},
    }
    statuses = (status for status in _MEANINGS if status not in (409, 410))
    return {200: success, **problems(*statuses)}


def queued() -> dict[int | str, dict[str, Any]]:
    """Every response of POST /v1/jobs."""
    where = {"Location": {"description": "Path of the job.", "schema": {"type": "string"}}}
    refusals = problems(400, 401, 404, 408, 413, 415, 422, 429, 431, 503)
    return {202: {"description": "Queued", "headers": where}, **refusals}


def job() -> dict[int | str, dict[str, Any]]:
    """Problems of /v1/jobs/{id}."""
    return _job_problems(503)


def results() -> dict[int | str, dict[str, Any]]:
    """Every response of /v1/jobs/{id}/result: the bodies of the waiting endpoints."""
    content = {JSON: {"schema": _one_of(kind.response for kind in KINDS.values())}}
    for kind in KINDS.values():
        content |= _binaries(kind)
    success = {"description": "The result", "content": content}
    return {200: success, **_job_problems(406, 409, 410, 500, 503, 504)}


def optional_body(model: type[BaseModel]) -> dict[str, Any]:
    """A request body in JSON that may be left out."""
    content = {JSON: {"schema": reference(model)}}
    return {"requestBody": {"required": False, "content": content}}


def exposition() -> dict[int | str, dict[str, Any]]:
    """The response of /metrics."""
    return {200: {"description": "Text", "content": {"text/plain": {"schema": {"type": "string"}}}}}


def stream() -> dict[int | str, dict[str, Any]]:
    """Every response of /v1/jobs/{id}/events."""
    event = {
        "description": "One event of the stream.",
        "type": "object",
        "properties": {
            "event": {
                "enum": ["progress", "reset", "succeeded", "failed", "cancelled", "timed-out"]
            },
            "id": {"type": "string", "description": "Value of Last-Event-ID that goes on here."},
            "data": {
                "type": "string",
                "contentMediaType": JSON,
                "description": "The data of `progress` events is an object of `progress`, 0 to 1, "
                "and `preview`, base64 of a PNG or null. The last event has the job.",
            },
        },
        "required": ["event", "id", "data"],
    }
    content = {EVENTS: {"schema": event}}
    return {200: {"description": "Server-sent events", "content": content}, **_job_problems(503)}


def body(kind: AnyKind) -> dict[str, Any]:
    """The request body of POST /v1/<kind>: JSON; where it takes images, also a form or an array
    with the parameters in the query."""
    content = {JSON: {"schema": reference(kind.request), "examples": kind.examples}}
    if kind.parameters is None:
        return {**_body(content), "parameters": [IDEMPOTENCY]}
    return _images_body(kind.parameters, content)


def resumption() -> dict[str, Any]:
    """The header with which a client resumes a stream."""
    parameter = {
        "name": "Last-Event-ID",
        "in": "header",
        "required": False,
        "description": "Id of the last event that was received.",
        "schema": {"type": "string"},
    }
    return {"parameters": [parameter]}


def job_body() -> dict[str, Any]:
    """The request body of POST /v1/jobs."""
    schema = _one_of(JOB_REQUESTS)
    schema["discriminator"] = {"propertyName": "kind"}
    bodies = {name: one for kind in KINDS.values() for name, one in kind.job_examples.items()}
    content = {JSON: {"schema": schema, "examples": bodies}}
    return {**_body(content), "parameters": [IDEMPOTENCY]}


def _images_body(fields: type[BaseModel], content: dict[str, Any]) -> dict[str, Any]:
    files = {
        "type": "array",
        "items": BINARY,
        "description": "Each a PNG, a .npy, or a photograph for a model with preprocessing.",
    }
    form = fields.model_json_schema(ref_template=_REF)
    form = {**form, "properties": {**form["properties"], "images": files}}
    form["required"] = [*form["required"], "images"]
    array = BINARY | {"description": "Tokens `[N, H, W, C]`; parameters in the query."}
    picture = BINARY | {"description": "One PNG; parameters in the query."}
    photograph = BINARY | {
        "description": "One photograph for a model with preprocessing; parameters in the query."
    }
    files = {MULTIPART: form, PNG: picture, NPY: array, **dict.fromkeys(PHOTOGRAPHS, photograph)}
    content = {**content, **{name: {"schema": schema} for name, schema in files.items()}}
    parameters = [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": schema.get("description", "") + " For a body that is not JSON.",
            # Generated clients would send defaults beside JSON too.
            "schema": {key: value for key, value in schema.items() if key != "default"},
        }
        for name, schema in fields.model_json_schema()["properties"].items()
    ]
    return {**_body(content), "parameters": [*parameters, IDEMPOTENCY]}


def install(app: FastAPI, keys: bool) -> None:
    """Make `app` describe itself, with the schemas that the routes only refer to."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _describe(app, keys)
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]


def _describe(app: FastAPI, keys: bool) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
    )
    models: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = []
    for kind, job_request in zip(KINDS.values(), JOB_REQUESTS, strict=True):
        models += [(kind.request, "validation"), (job_request, "validation")]
        models += [(kind.response, "serialization")]
    models += [(ProblemDetails, "serialization"), (InferResponse, "serialization")]
    requests = (InferRequest, IndexRequest, RepositoryRequest)
    models += [(model, "validation") for model in requests]
    _, schemas = models_json_schema(models, ref_template=_REF)
    components = document.setdefault("components", {})
    components["schemas"] = {**components.get("schemas", {}), **schemas["$defs"]}
    _drop_foreign_errors(document)
    examples.attach(document)
    if keys:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, operations in document["paths"].items():
            guarded = path.startswith(("/v1", "/v2")) and not path.startswith("/v2/health")
            for operation in operations.values() if guarded else ():
                operation["security"] = [{"key": []}]
    return document


def _drop_foreign_errors(document: dict[str, Any]) -> None:
    """Remove the framework's own validation error, which no endpoint answers with."""
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]


def reference(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": _REF.format(model=model.__name__)}


def _one_of(models: Iterable[type[BaseModel]]) -> dict[str, Any]:
    return {"oneOf": [reference(model) for model in models]}


def _binaries(kind: AnyKind) -> dict[str, Any]:
    """The kind's answers beside JSON, by media type."""
    return {
        media_type: {"schema": BINARY | {"description": binary.description}}
        for media_type, binary in kind.binaries.items()
    }


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}
