"""The task of averaging, its price, its result, its answer and its metrics."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from averages.contract import AverageRequest, AverageResponse
from models.schema.specs import Ddpm
from service.catalogue import ServedModel
from service.jobs import Decoded
from service.kind import Binary, Finished, Measurement, Metric
from service.price import Quote
from service.settings import Settings

SOLVER = Ddpm(steps=3)
AVERAGE = Metric("average_level", "Mean level of an image.", buckets=(4.0, 8.0, 16.0))
METRICS = (AVERAGE,)


@dataclass(frozen=True, slots=True)
class AverageTask:
    """Average `count` images."""

    kind: ClassVar[str] = "averages"

    count: int
    seed: int = 0
    solver: Ddpm = SOLVER


@dataclass(frozen=True, slots=True)
class AverageResult:
    """The mean level of each image."""

    kind: ClassVar[str] = "averages"

    averages: tuple[float, ...]
    execution: str


def quote(request: AverageRequest, images: int, model: ServedModel, settings: Settings) -> Quote:
    """The price of drawing."""
    return Quote(request.count, SOLVER.evaluations)


def make(request: AverageRequest, images: Decoded, model: ServedModel) -> AverageTask:
    """The task."""
    return AverageTask(request.count)


def answer(finished: Finished[AverageTask, AverageResult]) -> AverageResponse:
    """The answer as JSON."""
    averages = finished.result.averages
    return AverageResponse(id=finished.job.id, averages=averages, timing=finished.timing)


def lines(finished: Finished[AverageTask, AverageResult]) -> bytes:
    """The averages, a line each."""
    return "".join(f"{average}\n" for average in finished.result.averages).encode()


BINARIES = {"text/csv": Binary(lines, "A line an image.")}


def measure(task: AverageTask, result: AverageResult) -> Iterator[Measurement]:
    """The mean level of each image."""
    for average in result.averages:
        yield Measurement(AVERAGE, average)
