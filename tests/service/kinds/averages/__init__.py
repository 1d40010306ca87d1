"""Mean levels of images: one more kind of work, as a folder in `service/kinds` would hold it."""

from averages.contract import AverageRequest, AverageResponse
from averages.task import (
    BINARIES,
    METRICS,
    AverageResult,
    AverageTask,
    answer,
    make,
    measure,
    quote,
)
from service.kind import Kind

KIND = Kind(
    package=__name__,
    summary="Average images and wait",
    description="Mean levels of images drawn from a model.",
    request=AverageRequest,
    response=AverageResponse,
    task=AverageTask,
    result=AverageResult,
    quote=quote,
    make=make,
    answer=answer,
    binaries=BINARIES,
    examples={"default": {"value": {"model": "digits", "count": 2}}},
    metrics=METRICS,
    measure=measure,
)
