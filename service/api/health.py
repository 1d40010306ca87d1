"""GET /livez and /readyz: open to everybody, whatever the queue."""

from fastapi import APIRouter

from service.api import documentation
from service.api.context import InContext
from service.contracts.problems import State

router = APIRouter(tags=["health"])


@router.get("/livez", summary="Is the process alive?")
async def livez() -> State:
    """200 for as long as the process answers at all."""
    return State(status="alive")


@router.get("/readyz", summary="Does it take requests?", responses=documentation.problems(503))
async def readyz(context: InContext) -> State:
    """200 once models are loaded and warm; 503 before, and while the service stops."""
    context.gate.check()
    return State(status="ready")
