"""Errors as RFC 9457 problems; under /v2 in the form of the Open Inference Protocol."""

import json
import logging
from collections.abc import Iterable, Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection

from service.api import methods
from service.contracts.base import BY_NAME, BY_PRESET
from service.contracts.problems import InvalidField, ProblemDetails
from service.errors import (
    Busy,
    InvalidRequest,
    MalformedBody,
    MethodNotAllowed,
    NotFound,
    ServiceError,
    Unauthorized,
)

MEDIA_TYPE = "application/problem+json"
OPEN_INFERENCE = "/v2"
_LOG = logging.getLogger("mulan.api")
_CLIENT_CLOSED_REQUEST = 499
# Faults that one answer lists, and characters of a name that came in.
_MOST_FAULTS = 20
_LONGEST_NAME = 64


def respond(error: ServiceError, connection: HTTPConnection) -> Response:
    """An error as the answer to this request, which is noted with it."""
    connection.state.problem = error
    headers = {"X-Request-Id": request_id(connection)}
    if isinstance(error, Busy):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    if is_under(connection.url.path, OPEN_INFERENCE):
        # The protocol has no 422, and its clients read the error alone.
        status = 400 if error.status == InvalidRequest.status else error.status
        return Response(json.dumps({"error": error.detail}), status, headers, "application/json")
    problem = ProblemDetails(
        type=f"urn:mulan:problem:{error.code}",
        title=error.title,
        status=error.status,
        detail=error.detail,
        instance=connection.url.path,
        code=error.code,
        request_id=headers["X-Request-Id"],
        job=error.job,
        errors=tuple(InvalidField(**entry) for entry in getattr(error, "fields", ())),
    )
    return Response(problem.model_dump_json(), error.status, headers, MEDIA_TYPE)


def is_under(path: str, root: str) -> bool:
    """Whether a path is `root` or below it."""
    return path == root or path.startswith(f"{root}/")


def request_id(connection: HTTPConnection) -> str:
    """The id that came in, or was made, for this request."""
    found: str = connection.state.request_id
    return found


def invalid(error: ValidationError, is_choice: bool = False) -> ServiceError:
    """A body that is not JSON, or a request with the fields at fault named, up to a number of
    them. Nothing that came in is repeated but names, shortened.

    `is_choice` says that the body is one of several requests, as a field of it tells. Places of
    faults then begin with the value of that field, which is no name that the client wrote.
    """
    entries = error.errors(include_url=False, include_input=False)
    if entries[0]["type"] == "json_invalid":
        return MalformedBody(entries[0]["msg"])
    skipped = 1 if is_choice else 0
    return _at_fault(
        [(entry["loc"][skipped:] or _chosen_by(entry), _message(entry)) for entry in entries]
    )


def _chosen_by(entry: ErrorDetails) -> tuple[str, ...]:
    """The place of the field that tells which of several requests a body is."""
    field = str(entry.get("ctx", {}).get("discriminator", "")).strip("'")
    return (field,) if field else ()


def shorten(text: str) -> str:
    """A text that came in, as much of it as names it."""
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}…"


def _message(entry: ErrorDetails) -> str:
    """Describe a fault without repeating the input."""
    context = entry.get("ctx", {})
    if expected := context.get("expected_tags"):
        return f"should be one of {expected}"
    if entry["type"] == "union_tag_not_found":
        return "is missing"
    if entry["type"] == "value_error":
        return str(context["error"])
    return entry["msg"]


def _at_fault(faults: Sequence[tuple[tuple[int | str, ...], str]]) -> InvalidRequest:
    told = faults[:_MOST_FAULTS]
    fields = tuple({"field": _path(where), "message": message} for where, message in told)
    lines = [f"{entry['field']}: {entry['message']}" for entry in fields]
    if more := len(faults) - len(told):
        lines.append(f"and {more} more")
    return InvalidRequest("; ".join(lines), fields=fields)


def _path(location: Iterable[int | str]) -> str:
    """`images[3]` or `solver.steps`: as the client wrote it, without our unions' tags."""
    path = ""
    parts = iter(location)
    for part in parts:
        if part == BY_NAME:
            next(parts, None)
        elif isinstance(part, int):
            path += f"[{part}]"
        elif part != BY_PRESET:
            path += f".{shorten(part)}" if path else shorten(part)
    return path or "body"


def install(app: FastAPI) -> None:
    """Answer every error of `app` as a problem."""
    app.add_exception_handler(ServiceError, _on_service_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_wrong_parameter)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(Exception, _on_defect)


async def _on_service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return respond(error, request)


async def _on_wrong_parameter(request: Request, error: Exception) -> Response:
    """Answer faults that the framework finds in query parameters."""
    assert isinstance(error, RequestValidationError)
    faults = [(tuple(entry["loc"][1:]), str(entry["msg"])) for entry in error.errors()]
    return respond(_at_fault(faults), request)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Answer paths and methods that the framework refuses."""
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == MethodNotAllowed.status:
        allowed = methods.allowed(request.app.state.routes, request.scope)
        response = respond(MethodNotAllowed(f"{path} takes {allowed}"), request)
        response.headers["Allow"] = allowed
        return response
    if error.status_code == NotFound.status:
        return respond(NotFound(f"nothing lives at {path}"), request)
    return respond(MalformedBody(str(error.detail)), request)


async def _on_disconnect(request: Request, error: Exception) -> Response:
    request.state.problem = error
    return Response(status_code=_CLIENT_CLOSED_REQUEST)


async def _on_defect(request: Request, error: Exception) -> Response:
    _LOG.error("a request failed", exc_info=error, extra={"request_id": request_id(request)})
    response = respond(ServiceError("an error of ours; see the log for this request id"), request)
    # The framework raises the error again, whereupon the server closes the connection.
    response.headers["Connection"] = "close"
    return response
