"""Requests for averages, and their answers."""

from pydantic import Field

from service.contracts.base import (
    ModelName,
    PriorityName,
    RequestModel,
    ResponseModel,
    Timeout,
    Timing,
)


class AverageRequest(RequestModel):
    """A request for averages."""

    model: ModelName
    count: int = Field(1, ge=1, le=8)
    timeout_s: Timeout = None
    priority: PriorityName = "normal"


class AverageResponse(ResponseModel):
    """One mean level for each image."""

    id: str
    averages: tuple[float, ...]
    timing: Timing
