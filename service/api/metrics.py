"""GET /metrics: numbers for Prometheus."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CollectorRegistry

from service.api import documentation
from service.telemetry.registry import CONTENT_TYPE, exposition

router = APIRouter(tags=["health"])


async def _registry(request: Request) -> CollectorRegistry:
    registry: CollectorRegistry = request.app.state.registry
    return registry


# Not a coroutine: it is written on a thread, beside the event loop.
@router.get(
    "/metrics",
    summary="Numbers for Prometheus",
    response_class=Response,
    responses=documentation.exposition(),
)
def metrics(registry: Annotated[CollectorRegistry, Depends(_registry)]) -> Response:
    """Every metric of this process, in the text format."""
    return Response(exposition(registry), media_type=CONTENT_TYPE)
