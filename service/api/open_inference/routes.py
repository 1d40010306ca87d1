"""Routes of the Open Inference Protocol, version 2."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from service.api.bodies import parse_json, read_body
from service.api.context import Context, InContext
from service.api.open_inference import contract, documentation, metadata
from service.api.open_inference.documentation import errors
from service.api.open_inference.infer import infer
from service.api.open_inference.variants import Variant, every, find

router = APIRouter(tags=["open inference"])

# Paths that ask for no key.
OPEN = ("/v2/health/live", "/v2/health/ready")
_MODEL = "/v2/models/{name}"
_VERSION = _MODEL + "/versions/{version}"
_MOST_INDEX_VALUES = 4

Name = Annotated[
    str,
    Path(
        description="Name of a model: `NAME` draws samples, `NAME.likelihood` and `NAME.anomaly` "
        "score images.",
    ),
]
Version = Annotated[
    str, Path(description="Version of the model: `1`, or the checkpoint's SHA-256.")
]


@router.get("/v2", summary="The server and its extensions", responses=errors(401))
async def show_inference_server() -> contract.ServerMetadata:
    """The name and version of the server, and the extensions of the protocol that it has."""
    return metadata.server()


@router.get("/v2/health/live", summary="Is the process alive?")
async def inference_live() -> contract.Live:
    """200 for as long as the process answers at all."""
    return contract.Live(live=True)


@router.get("/v2/health/ready", summary="Does it take requests?", responses=errors(503))
async def inference_ready(context: InContext) -> contract.Ready:
    """200 once models are loaded and warm; 503 before, and while the service stops."""
    context.gate.check()
    return contract.Ready(ready=True)


@router.get("/v2/models/stats", summary="Statistics of all models", responses=errors(401, 503))
async def show_all_statistics(context: InContext) -> contract.StatisticsResponse:
    """Counts and times of the requests of every model since the process began."""
    context.gate.check()
    shown = (context.statistics.show(variant.name) for variant in every(context.catalogue))
    return contract.StatisticsResponse(model_stats=tuple(shown))


@router.post(
    "/v2/repository/index",
    summary="The index of models",
    responses=errors(400, 401, 408, 413, 431, 503),
    openapi_extra=documentation.index_body(),
)
async def list_inference_models(request: Request, context: InContext) -> list[contract.IndexEntry]:
    """Every model with its state."""
    context.gate.check()
    body = await read_body(request)
    wanted = contract.IndexRequest()
    if body.strip():
        wanted = parse_json(body, contract.IndexRequest, _MOST_INDEX_VALUES)
    entries = map(metadata.entry, every(context.catalogue))
    return [one for one in entries if one.state == "READY" or not wanted.ready]


@router.get(_MODEL, summary="One model and its tensors", responses=errors(401, 404, 503))
async def show_inference_model(name: Name, context: InContext) -> contract.ModelMetadata:
    """The versions, inputs and outputs of a model."""
    return metadata.model(_found(name, None, context))


@router.get(_VERSION, summary="One version and its tensors", responses=errors(401, 404, 503))
async def show_inference_version(
    name: Name, version: Version, context: InContext
) -> contract.ModelMetadata:
    """The versions, inputs and outputs of a model."""
    return metadata.model(_found(name, version, context))


@router.get(
    f"{_MODEL}/ready", summary="Does the model take requests?", responses=errors(400, 401, 404, 503)
)
async def inference_model_ready(name: Name, context: InContext) -> contract.ModelReady:
    """200 while the model takes requests; 400 for one that lacks a calibration."""
    return metadata.readiness(_found(name, None, context))


@router.get(
    f"{_VERSION}/ready",
    summary="Does the version take requests?",
    responses=errors(400, 401, 404, 503),
)
async def inference_version_ready(
    name: Name, version: Version, context: InContext
) -> contract.ModelReady:
    """200 while the version takes requests; 400 for one that lacks a calibration."""
    return metadata.readiness(_found(name, version, context))


@router.get(f"{_MODEL}/config", summary="Configuration", responses=errors(401, 404, 503))
async def show_inference_config(name: Name, context: InContext) -> contract.ModelConfiguration:
    """The configuration of a model, as clients read it to know its batches."""
    return metadata.configuration(_found(name, None, context), context.settings)


@router.get(f"{_VERSION}/config", summary="Configuration", responses=errors(401, 404, 503))
async def show_inference_version_config(
    name: Name, version: Version, context: InContext
) -> contract.ModelConfiguration:
    """The configuration of a version, as clients read it to know its batches."""
    return metadata.configuration(_found(name, version, context), context.settings)


@router.get(f"{_MODEL}/stats", summary="Statistics", responses=errors(401, 404, 503))
async def show_statistics(name: Name, context: InContext) -> contract.StatisticsResponse:
    """Counts and times of the requests of a model since the process began."""
    shown = context.statistics.show(_found(name, None, context).name)
    return contract.StatisticsResponse(model_stats=(shown,))


@router.get(f"{_VERSION}/stats", summary="Statistics", responses=errors(401, 404, 503))
async def show_version_statistics(
    name: Name, version: Version, context: InContext
) -> contract.StatisticsResponse:
    """Counts and times of the requests of a model since the process began."""
    shown = context.statistics.show(_found(name, version, context).name)
    return contract.StatisticsResponse(model_stats=(shown,))


@router.post(
    f"{_MODEL}/infer",
    summary="Infer and wait",
    response_class=Response,
    responses=documentation.answers(),
    openapi_extra=documentation.body(),
)
async def create_inference(name: Name, request: Request, context: InContext) -> Response:
    """The work that POST /v1/samples, /v1/likelihoods and /v1/anomalies do, with tensors for
    images and numbers."""
    return await infer(name, None, request, context)


@router.post(
    f"{_VERSION}/infer",
    summary="Infer by a version and wait",
    response_class=Response,
    responses=documentation.answers(),
    openapi_extra=documentation.body(),
)
async def create_version_inference(
    name: Name, version: Version, request: Request, context: InContext
) -> Response:
    """The work that POST /v1/samples, /v1/likelihoods and /v1/anomalies do, with tensors for
    images and numbers, by one version of the model."""
    return await infer(name, version, request, context)


def _found(name: str, version: str | None, context: Context) -> Variant:
    context.gate.check()
    return find(name, version, context.catalogue)
