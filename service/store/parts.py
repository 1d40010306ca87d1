"""What jobs and outcomes are made of on the wire: tasks, results, errors, arrays as raw bytes."""

import math
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.anomaly.calibration import Calibration
from models.anomaly.readings import Reading
from models.schema.scores import Score
from models.schema.specs import Adams, SamplerSpec
from service.errors import Busy, InvalidRequest, ServiceError, TooLarge
from service.jobs import (
    AnomalyResult,
    AnomalyTask,
    Result,
    SampleResult,
    SampleTask,
    ScoreResult,
    ScoreTask,
    Task,
)

Number = TypeVar("Number", bound=np.generic)
Length = Annotated[int, Field(ge=0)]


class WireError(ValueError):
    """Bytes that are no job, or no outcome; its text is one clear line."""


class WireRecord(BaseModel):
    """A piece of a document."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _Array(WireRecord, Generic[Number]):
    """Numbers in C order."""

    kind: ClassVar[Any]

    shape: tuple[Length, ...]
    data: bytes

    @classmethod
    def of(cls, array: NDArray[Number]) -> Self:
        return cls(shape=array.shape, data=np.ascontiguousarray(array, cls.kind).tobytes())

    def array(self) -> NDArray[Number]:
        if math.prod(self.shape) * np.dtype(self.kind).itemsize != len(self.data):
            raise WireError(f"{len(self.data)} bytes are no array of shape {list(self.shape)}")
        found: NDArray[Number] = np.frombuffer(self.data, self.kind).reshape(self.shape).copy()
        return found


class _Tokens(_Array[np.uint8]):
    kind = "u1"

    shape: tuple[Length, Length, Length, Length]


class _Contribution(_Array[np.float32]):
    kind = "<f4"

    shape: tuple[Length, Length, Length]


class _SampleTask(WireRecord):
    kind: Literal["samples"] = "samples"
    solver: SamplerSpec
    seed: int
    count: int
    latent: tuple[int, ...] | None

    def task(self) -> SampleTask:
        return SampleTask(self.solver, self.seed, self.count, self.latent)


class _ScoreTask(WireRecord):
    kind: Literal["likelihoods"] = "likelihoods"
    solver: Adams
    seed: int
    draws: int
    images: _Tokens

    def task(self) -> ScoreTask:
        return ScoreTask(self.solver, self.seed, self.draws, self.images.array())


class _AnomalyTask(WireRecord):
    kind: Literal["anomalies"] = "anomalies"
    calibration: Calibration
    seed: int
    alpha: float
    heatmap: bool
    images: _Tokens

    def task(self) -> AnomalyTask:
        images = self.images.array()
        return AnomalyTask(self.calibration, self.seed, self.alpha, self.heatmap, images)


AnyTask = Annotated[_SampleTask | _ScoreTask | _AnomalyTask, Field(discriminator="kind")]


class _SampleResult(WireRecord):
    kind: Literal["samples"] = "samples"
    images: _Tokens
    nfe: tuple[int, ...]
    acceptance_rate: tuple[float | None, ...]
    latents: tuple[tuple[int, ...], ...]
    execution: str

    def outcome(self) -> SampleResult:
        return SampleResult(
            self.images.array(), self.nfe, self.acceptance_rate, self.latents, self.execution
        )


class _ScoreResult(WireRecord):
    kind: Literal["likelihoods"] = "likelihoods"
    scores: tuple[Score, ...]
    execution: str

    def outcome(self) -> ScoreResult:
        return ScoreResult(self.scores, self.execution)


class _Reading(WireRecord):
    nfe: int
    values: dict[str, float] | None
    contribution: _Contribution | None
    reason: str | None

    @classmethod
    def of(cls, reading: Reading) -> Self:
        found = None if reading.contribution is None else _Contribution.of(reading.contribution)
        return cls(
            nfe=reading.nfe, values=reading.values, contribution=found, reason=reading.reason
        )

    def reading(self) -> Reading:
        found = None if self.contribution is None else self.contribution.array()
        return Reading(self.nfe, self.values, found, self.reason)


class _AnomalyResult(WireRecord):
    kind: Literal["anomalies"] = "anomalies"
    readings: tuple[_Reading, ...]
    execution: str

    def outcome(self) -> AnomalyResult:
        return AnomalyResult(tuple(one.reading() for one in self.readings), self.execution)


class _Error(WireRecord):
    kind: Literal["error"] = "error"
    name: str
    detail: str
    code: str
    job: str | None
    retry_after: int | None = None
    fields: tuple[dict[str, str], ...] = ()

    def outcome(self) -> ServiceError:
        if self.name not in _ERRORS:
            raise WireError(f"no error is called {self.name!r}")
        error = self._made(_ERRORS[self.name])
        error.job = self.job
        return error

    def _made(self, kind: type[ServiceError]) -> ServiceError:
        if issubclass(kind, TooLarge):
            return kind(self.code, self.detail)
        if issubclass(kind, InvalidRequest):
            return kind(self.detail, self.code, self.fields)
        if issubclass(kind, Busy) and self.retry_after is not None:
            return kind(self.detail, self.retry_after)
        return kind(self.detail)


AnyResult = _SampleResult | _ScoreResult | _AnomalyResult
AnyOutcome = Annotated[AnyResult | _Error, Field(discriminator="kind")]


def task_part(task: Task) -> AnyTask:
    """A task, images among it."""
    match task:
        case SampleTask(solver, seed, count, latent):
            return _SampleTask(solver=solver, seed=seed, count=count, latent=latent)
        case ScoreTask(solver, seed, draws, images):
            return _ScoreTask(solver=solver, seed=seed, draws=draws, images=_Tokens.of(images))
        case AnomalyTask():
            return _AnomalyTask(
                calibration=task.calibration,
                seed=task.seed,
                alpha=task.alpha,
                heatmap=task.heatmap,
                images=_Tokens.of(task.images),
            )


def result_part(result: Result) -> AnyResult:
    """A result, images among it."""
    match result:
        case SampleResult():
            return _SampleResult(
                images=_Tokens.of(result.images),
                nfe=result.nfe,
                acceptance_rate=result.acceptance_rate,
                latents=result.latents,
                execution=result.execution,
            )
        case ScoreResult(scores, execution):
            return _ScoreResult(scores=scores, execution=execution)
        case AnomalyResult(readings, execution):
            return _AnomalyResult(
                readings=tuple(_Reading.of(one) for one in readings), execution=execution
            )


def error_part(error: ServiceError) -> AnyOutcome:
    """An error, by the nearest name that the wire knows."""
    return _Error(
        name=next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _ERRORS),
        detail=error.detail,
        code=error.code,
        job=error.job,
        retry_after=error.retry_after if isinstance(error, Busy) else None,
        fields=error.fields if isinstance(error, InvalidRequest) else (),
    )


def _family(kind: type[ServiceError]) -> dict[str, type[ServiceError]]:
    """A kind of error and all that descend from it, by name."""
    found = {kind.__name__: kind}
    for child in kind.__subclasses__():
        found |= _family(child)
    return found


_ERRORS = _family(ServiceError)
