"""Jobs and outcomes as bytes: msgpack of a stated schema, arrays raw, nothing ever executed.

`VERSION` leads every document; a build reads its own and names another's.
"""

import math
from typing import Annotated, Any, Literal, TypeVar

import msgpack
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.manifest import first_fault
from models.scores import Score
from models.specs import Rk45, SamplerSpec
from service.errors import Busy, InvalidRequest, ServiceError, TooLarge
from service.jobs import (
    Job,
    Outcome,
    Result,
    SampleResult,
    SampleTask,
    ScoreResult,
    ScoreTask,
    Task,
    Tokens,
)

VERSION: Literal[1] = 1


class WireError(ValueError):
    """Bytes that are no job, or no outcome; its text is one clear line."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Array(_Part):
    """uint8 in C order."""

    shape: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=4, max_length=4)
    data: bytes

    @classmethod
    def of(cls, tokens: Tokens) -> "_Array":
        return cls(shape=tokens.shape, data=np.ascontiguousarray(tokens, np.uint8).tobytes())

    def tokens(self) -> Tokens:
        if math.prod(self.shape) != len(self.data):
            raise WireError(f"{len(self.data)} bytes are no array of shape {list(self.shape)}")
        return np.frombuffer(self.data, np.uint8).reshape(self.shape).copy()


class _SampleTask(_Part):
    kind: Literal["samples"] = "samples"
    solver: SamplerSpec
    seed: int
    count: int
    latent: tuple[int, ...] | None

    def task(self) -> SampleTask:
        return SampleTask(self.solver, self.seed, self.count, self.latent)


class _ScoreTask(_Part):
    kind: Literal["likelihoods"] = "likelihoods"
    solver: Rk45
    seed: int
    draws: int
    images: _Array

    def task(self) -> ScoreTask:
        return ScoreTask(self.solver, self.seed, self.draws, self.images.tokens())


class _Job(_Part):
    version: Literal[1] = VERSION
    id: str
    checkpoint: str
    task: Annotated[_SampleTask | _ScoreTask, Field(discriminator="kind")]
    deadline: float
    created_at: float
    owner: str
    priority: int
    model: str
    cost: int


class _SampleResult(_Part):
    kind: Literal["samples"] = "samples"
    images: _Array
    nfe: tuple[int, ...]
    acceptance_rate: tuple[float | None, ...]
    latents: tuple[tuple[int, ...], ...]
    execution: str

    def outcome(self) -> SampleResult:
        return SampleResult(
            self.images.tokens(), self.nfe, self.acceptance_rate, self.latents, self.execution
        )


class _ScoreResult(_Part):
    kind: Literal["likelihoods"] = "likelihoods"
    scores: tuple[Score, ...]
    execution: str

    def outcome(self) -> ScoreResult:
        return ScoreResult(self.scores, self.execution)


class _Error(_Part):
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


class _Outcome(_Part):
    version: Literal[1] = VERSION
    outcome: Annotated[_SampleResult | _ScoreResult | _Error, Field(discriminator="kind")]


_Document = TypeVar("_Document", _Job, _Outcome)


def encode_job(job: Job) -> bytes:
    """A job with its task, images among it."""
    return _pack(
        _Job(
            id=job.id,
            checkpoint=job.checkpoint,
            task=_task(job.task),
            deadline=job.deadline,
            created_at=job.created_at,
            owner=job.owner,
            priority=job.priority,
            model=job.model,
            cost=job.cost,
        )
    )


def decode_job(data: bytes) -> Job:
    """What `encode_job` made. Raises WireError."""
    wire = _unpack(data, _Job)
    return Job(
        wire.id,
        wire.checkpoint,
        wire.task.task(),
        wire.deadline,
        wire.created_at,
        wire.owner,
        wire.priority,
        wire.model,
        wire.cost,
    )


def encode_outcome(outcome: Outcome) -> bytes:
    """A result, or the error that stands in its place."""
    part = _error(outcome) if isinstance(outcome, ServiceError) else _result(outcome)
    return _pack(_Outcome(outcome=part))


def decode_outcome(data: bytes) -> Outcome:
    """What `encode_outcome` made. Raises WireError."""
    return _unpack(data, _Outcome).outcome.outcome()


def _task(task: Task) -> _SampleTask | _ScoreTask:
    if isinstance(task, SampleTask):
        return _SampleTask(solver=task.solver, seed=task.seed, count=task.count, latent=task.latent)
    images = _Array.of(task.images)
    return _ScoreTask(solver=task.solver, seed=task.seed, draws=task.draws, images=images)


def _result(result: Result) -> _SampleResult | _ScoreResult:
    if isinstance(result, ScoreResult):
        return _ScoreResult(scores=result.scores, execution=result.execution)
    return _SampleResult(
        images=_Array.of(result.images),
        nfe=result.nfe,
        acceptance_rate=result.acceptance_rate,
        latents=result.latents,
        execution=result.execution,
    )


def _error(error: ServiceError) -> _Error:
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


def _pack(document: _Job | _Outcome) -> bytes:
    packed: bytes = msgpack.packb(document.model_dump())
    return packed


def _unpack(data: bytes, kind: type[_Document]) -> _Document:
    try:
        fields: Any = msgpack.unpackb(data)
    except (msgpack.UnpackException, ValueError) as error:
        raise WireError(f"not msgpack: {error or type(error).__name__}") from error
    if not isinstance(fields, dict):
        raise WireError("not a document")
    version = fields.get("version")
    if version != VERSION:
        raise WireError(f"version {version!r}; this build reads {VERSION}")
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise WireError(first_fault(error)) from error
