"""What /openapi.json says beyond what the routes' types do: bodies, binary answers, problems."""

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.api import examples
from service.api.negotiation import EVENTS, JSON, MULTIPART, NPY, PNG
from service.api.problem import MEDIA_TYPE
from service.contracts.anomalies import AnomalyParameters, AnomalyRequest, AnomalyResponse
from service.contracts.jobs import AnomalyJob, LikelihoodJob, SampleJob
from service.contracts.likelihoods import (
    LikelihoodParameters,
    LikelihoodRequest,
    LikelihoodResponse,
)
from service.contracts.problems import ProblemDetails
from service.contracts.samples import SampleRequest, SampleResponse

VERSION = version("mulan-serve")
SUMMARY = "Images, likelihoods and anomaly verdicts from MULAN diffusion models."
DESCRIPTION = """\
**Pixels.** A `.npy` carries tokens 0..V-1, uint8, `[N, H, W, C]`. A PNG carries
`round(255 v / (V - 1))`, grey or RGB; one of another form that holds the same pixels exactly (equal
red, green and blue, opaque alpha, a palette, grey of 1, 2 or 4 bits) is taken for what it holds. A
sample can be scored without any conversion.

**Errors** are `application/problem+json` (RFC 9457) with a `code` for programs.
"""

_REF = "#/components/schemas/{model}"
_MEANINGS = {
    400: "malformed-body",
    401: "unauthorized",
    404: "unknown-model",
    406: "not-acceptable",
    409: "job-not-finished",
    410: "job-cancelled, result-expired",
    413: "body-too-large, too-many-images, image-too-large",
    415: "unsupported-media-type",
    422: "invalid-request, wrong-image-shape, wrong-dtype, invalid-pixel-value, "
    "request-too-expensive, calibration-missing, idempotency-mismatch",
    429: "queue-full, rate-limited",
    500: "computation-failed",
    503: "not-ready, draining, store-unavailable",
    504: "deadline-exceeded",
}
_IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key and request again are the same job; it is the caller's and the "
    "path's own.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
_RETRY = {"Retry-After": {"description": "Whole seconds.", "schema": {"type": "integer"}}}
_BINARY = {"type": "string", "format": "binary"}

SAMPLE_ANSWERS = {
    PNG: {"schema": _BINARY | {"description": "One contact sheet, images enlarged."}},
    NPY: {"schema": _BINARY | {"description": "Tokens `[count, H, W, C]`, uint8."}},
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Responses of these statuses, each a problem."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        found[status] = {
            "description": f"`code`: {_MEANINGS[status]}",
            "content": {
                MEDIA_TYPE: {"schema": {"$ref": _REF.format(model=ProblemDetails.__name__)}}
            },
        }
        if status in (429, 503):
            found[status]["headers"] = _RETRY
    return found


def _job_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Problems of a path that names a job."""
    found = problems(401, 404, *statuses)
    found[404]["description"] = "`code`: unknown-job"
    return found


def answers(model: type[BaseModel], others: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """Every response of a waiting endpoint: `model` as JSON, `others` by media type."""
    reference = {"$ref": _REF.format(model=model.__name__)}
    headers = {"Server-Timing": {"description": "queue, run", "schema": {"type": "string"}}}
    success = {
        "description": "The result",
        "headers": headers,
        "content": {JSON: {"schema": reference}, **others},
    }
    statuses = (status for status in _MEANINGS if status not in (409, 410))
    return {200: success, **problems(*statuses)}


def queued() -> dict[int | str, dict[str, Any]]:
    """Every response of POST /v1/jobs beside the job."""
    where = {"Location": {"description": "Of the job.", "schema": {"type": "string"}}}
    refusals = problems(400, 401, 404, 413, 415, 422, 429, 503)
    return {202: {"description": "Queued", "headers": where}, **refusals}


def job() -> dict[int | str, dict[str, Any]]:
    """Problems of /v1/jobs/{id}."""
    return _job_problems(503)


def results() -> dict[int | str, dict[str, Any]]:
    """Every response of /v1/jobs/{id}/result: what the waiting endpoints answer with."""
    schema = _one_of(SampleResponse, LikelihoodResponse, AnomalyResponse)
    success = {"description": "The result", "content": {JSON: {"schema": schema}, **SAMPLE_ANSWERS}}
    return {200: success, **_job_problems(406, 409, 410, 500, 503, 504)}


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
            "id": {"type": "string", "description": "To go on from, as Last-Event-ID."},
            "data": {
                "type": "string",
                "contentMediaType": JSON,
                "description": "Of `progress`: `progress`, 0 to 1, and `preview`, base64 of a PNG "
                "or null. Of the last event: the job.",
            },
        },
        "required": ["event", "id", "data"],
    }
    content = {EVENTS: {"schema": event}}
    return {200: {"description": "Server-sent events", "content": content}, **_job_problems(503)}


def sample_body() -> dict[str, Any]:
    """The request body of /v1/samples."""
    body = _body({JSON: _content(SampleRequest, examples.SAMPLES)})
    return {**body, "parameters": [_IDEMPOTENCY]}


def resumption() -> dict[str, Any]:
    """The header by which a stream goes on."""
    parameter = {
        "name": "Last-Event-ID",
        "in": "header",
        "required": False,
        "description": "The last event that was heard.",
        "schema": {"type": "string"},
    }
    return {"parameters": [parameter]}


def job_body() -> dict[str, Any]:
    """The request body of /v1/jobs, and how to send it twice."""
    schema = _one_of(SampleJob, LikelihoodJob, AnomalyJob)
    schema["discriminator"] = {"propertyName": "kind"}
    body = _body({JSON: {"schema": schema, "examples": examples.JOBS}})
    return {**body, "parameters": [_IDEMPOTENCY]}


def likelihood_body() -> dict[str, Any]:
    """The request bodies of /v1/likelihoods, and the query that goes with an array."""
    return _images_body(LikelihoodParameters, LikelihoodRequest, examples.LIKELIHOODS)


def anomaly_body() -> dict[str, Any]:
    """Those of /v1/anomalies."""
    return _images_body(AnomalyParameters, AnomalyRequest, examples.ANOMALIES)


def _images_body(
    fields: type[BaseModel], whole: type[BaseModel], shown: dict[str, Any]
) -> dict[str, Any]:
    files = {"type": "array", "items": _BINARY, "description": "Each a PNG or a .npy."}
    form = fields.model_json_schema(ref_template=_REF)
    form = {**form, "properties": {**form["properties"], "images": files}}
    form["required"] = [*form["required"], "images"]
    array = _BINARY | {"description": "Tokens `[N, H, W, C]`; parameters in the query."}
    picture = _BINARY | {"description": "One PNG; parameters in the query."}
    content = {
        JSON: _content(whole, shown),
        MULTIPART: {"schema": form},
        PNG: {"schema": picture},
        NPY: {"schema": array},
    }
    parameters = [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": schema.get("description", "") + " With a body that is not JSON.",
            "schema": schema,
        }
        for name, schema in fields.model_json_schema()["properties"].items()
    ]
    return {**_body(content), "parameters": [*parameters, _IDEMPOTENCY]}


def install(app: FastAPI, keys: bool) -> None:
    """Let `app` describe itself, with the schemas that the routes only refer to."""

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
    _, schemas = models_json_schema(
        [
            (SampleRequest, "validation"),
            (LikelihoodRequest, "validation"),
            (AnomalyRequest, "validation"),
            (SampleJob, "validation"),
            (LikelihoodJob, "validation"),
            (AnomalyJob, "validation"),
            (SampleResponse, "serialization"),
            (LikelihoodResponse, "serialization"),
            (AnomalyResponse, "serialization"),
            (ProblemDetails, "serialization"),
        ],
        ref_template=_REF,
    )
    components = document.setdefault("components", {})
    components["schemas"] = {**components.get("schemas", {}), **schemas["$defs"]}
    _drop_foreign_errors(document)
    if keys:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, operations in document["paths"].items():
            for operation in operations.values() if path.startswith("/v1") else ():
                operation["security"] = [{"key": []}]
    return document


def _drop_foreign_errors(document: dict[str, Any]) -> None:
    """Forget the framework's own validation error, which is never answered."""
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]


def _one_of(*models: type[BaseModel]) -> dict[str, Any]:
    return {"oneOf": [{"$ref": _REF.format(model=model.__name__)} for model in models]}


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}


def _content(model: type[BaseModel], shown: dict[str, Any]) -> dict[str, Any]:
    return {"schema": {"$ref": _REF.format(model=model.__name__)}, "examples": shown}
