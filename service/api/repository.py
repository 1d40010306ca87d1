"""POST /v2/repository/models/{name}/load and /unload: models change while the service runs.

They are the repository extension of the Open Inference Protocol, as Triton Inference Server has it.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Request

from models.schema.manifest import NAME
from service.api import documentation
from service.api.bodies import parse_json, read_body
from service.api.context import Context, InContext
from service.api.open_inference.documentation import errors
from service.api.problem import shorten
from service.contracts.repository import RepositoryRequest, RepositoryResponse
from service.control import ModelControl
from service.errors import InvalidRequest, NotFound

router = APIRouter(tags=["open inference"])

_ERRORS = (400, 401, 404, 408, 413, 429, 431, 500, 503, 504)
# JSON values in the body of a request.
_MOST_VALUES = 100
# Triton's clients send it, and there are no models here on which others depend.
_PASSED_OVER = frozenset({"unload_dependents"})

ModelPath = Annotated[
    str, Path(pattern=NAME, description="Name of a checkpoint in the models folder.")
]


@router.post(
    "/v2/repository/models/{name}/load",
    summary="Load a model, or its new checkpoint or calibration",
    responses=errors(*_ERRORS),
    openapi_extra=documentation.optional_body(RepositoryRequest),
)
async def load_model(name: ModelPath, request: Request, context: InContext) -> RepositoryResponse:
    """Load the checkpoint of this name from the server's models folder, beside those that are
    served. Once it is warm the name stands for it, and jobs of the old checkpoint run to their end.
    Where the weights are the same, manifest and calibration are read again. If that fails, what was
    served stays in service."""
    with context.gate.enter():
        control = await _control(request, context)
        loaded = await control.load(name)
    return RepositoryResponse(
        name=name,
        state="READY",
        checkpoint=loaded.checkpoint,
        checkpoint_before=loaded.before,
        workers=loaded.workers,
        failures=loaded.failures,
    )


@router.post(
    "/v2/repository/models/{name}/unload",
    summary="Unload a model",
    responses=errors(*_ERRORS),
    openapi_extra=documentation.optional_body(RepositoryRequest),
)
async def unload_model(name: ModelPath, request: Request, context: InContext) -> RepositoryResponse:
    """Take a model out of service. Jobs that were admitted run to their end."""
    with context.gate.enter():
        control = await _control(request, context)
        await control.unload(name)
    return RepositoryResponse(name=name, state="UNAVAILABLE")


async def _control(request: Request, context: Context) -> ModelControl:
    """Return the control of models, after the request has been found to bring nothing of its own.

    Raises NotFound where it is turned off, RateLimited, MalformedBody and InvalidRequest.
    """
    if context.control is None:
        raise NotFound("models are not changed by requests here: MULAN_MODEL_CONTROL is not set")
    await context.quotas.admit(request.state.owner)
    body = await read_body(request)
    if body:
        asked = parse_json(body, RepositoryRequest, _MOST_VALUES)
        for parameter in sorted(asked.parameters.keys() - _PASSED_OVER):
            raise InvalidRequest.at(
                f"parameters.{shorten(parameter)}",
                "is not taken: a checkpoint comes from the server's models folder as it is there",
            )
    return context.control
