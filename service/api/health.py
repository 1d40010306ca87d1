"""GET /livez and /readyz: open to everybody, whatever the queue."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from service.api import documentation
from service.api.gate import Gate
from service.contracts.problems import ProcessState

router = APIRouter(tags=["health"])


async def _gate(request: Request) -> Gate:
    gate: Gate = request.app.state.gate
    return gate


@router.get("/livez", summary="Is the process alive?")
async def livez() -> ProcessState:
    """200 for as long as the process answers at all."""
    return ProcessState(status="alive")


@router.get("/readyz", summary="Does it take requests?", responses=documentation.problems(503))
async def readyz(gate: Annotated[Gate, Depends(_gate)]) -> ProcessState:
    """200 once models are loaded and warm; 503 before, and while the service stops."""
    gate.check()
    return ProcessState(status="ready")
