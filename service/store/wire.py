"""Jobs and outcomes as bytes: msgpack of a stated schema, arrays raw, nothing ever executed.

A version leads every document. A build reads its own and those before that it knows, and names
another's: a fleet is updated workers first.
"""

from typing import Any, Literal, TypeVar, get_args

import msgpack
from pydantic import ValidationError

from models.schema.manifest import first_fault
from service.errors import ServiceError
from service.jobs import Job, Outcome
from service.store.parts import (
    AnyOutcome,
    AnyTask,
    WireError,
    WireRecord,
    error_part,
    result_part,
    task_part,
)

# Of jobs: 2 says which request they came by.
VERSION: Literal[2] = 2


class _Job(WireRecord):
    version: Literal[1, 2] = VERSION
    id: str
    checkpoint: str
    task: AnyTask
    deadline: float
    created_at: float
    owner: str
    priority: int
    model: str
    cost: int
    request_id: str = ""
    trace: str = ""


class _Outcome(WireRecord):
    version: Literal[1] = 1
    outcome: AnyOutcome


_Document = TypeVar("_Document", _Job, _Outcome)


def encode_job(job: Job) -> bytes:
    """A job with its task, images among it."""
    return _pack(
        _Job(
            id=job.id,
            checkpoint=job.checkpoint,
            task=task_part(job.task),
            deadline=job.deadline,
            created_at=job.created_at,
            owner=job.owner,
            priority=job.priority,
            model=job.model,
            cost=job.cost,
            request_id=job.request_id,
            trace=job.trace,
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
        wire.request_id,
        wire.trace,
    )


def encode_outcome(outcome: Outcome) -> bytes:
    """A result, or the error that stands in its place."""
    part = error_part(outcome) if isinstance(outcome, ServiceError) else result_part(outcome)
    return _pack(_Outcome(outcome=part))


def decode_outcome(data: bytes) -> Outcome:
    """What `encode_outcome` made. Raises WireError."""
    return _unpack(data, _Outcome).outcome.outcome()


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
    version, known = fields.get("version"), get_args(kind.model_fields["version"].annotation)
    if version not in known:
        read = " and ".join(map(str, known))
        raise WireError(f"version {version!r}; this build reads {read}")
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise WireError(first_fault(error)) from error
