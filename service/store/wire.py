"""Jobs and outcomes as bytes: msgpack of their fields, arrays raw, nothing ever executed.

A fleet is updated workers first, so that builds of both sides meet. A version leads every document,
and one that a build does not know is refused. Jobs are read strictly: a worker must not run a job
that it understands in part. Outcomes are read tolerantly: an API passes over fields that it does
not know, and a field that an older worker leaves out has its default.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar, Union

import msgpack
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    SerializerFunctionWrapHandler,
    Tag,
    TypeAdapter,
    ValidationError,
    WrapSerializer,
)

from models.schema.manifest import first_fault
from service.errors import ServiceError
from service.jobs import Job, Outcome
from service.kinds import KINDS
from service.store.failures import Failure

# Jobs of version 2 tell which request they came by. The last version is the one that is written.
JOB_VERSIONS = (1, 2)
OUTCOME_VERSIONS = (1,)

RecordT = TypeVar("RecordT")


class WireError(ValueError):
    """Bytes that hold no job, or no outcome; its text is one clear line."""


@dataclass(frozen=True)
class _End(Generic[RecordT]):
    """The document of an outcome."""

    outcome: RecordT


def one_of(records: Mapping[str, type]) -> Any:
    """The union of dataclasses, each written with its name as `kind` before its own fields."""
    members = tuple(
        Annotated[record, BeforeValidator(_without_kind), WrapSerializer(_with_kind), Tag(name)]
        for name, record in records.items()
    )
    return Annotated[Union[members], Discriminator(_kind_of)]  # noqa: UP007 - not written out


def _kind_of(value: Any) -> Any:
    return value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)


def _without_kind(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: field for name, field in value.items() if name != "kind"}


def _with_kind(value: Any, fields: SerializerFunctionWrapHandler) -> dict[str, Any]:
    return {"kind": value.kind, **fields(value)}


def _adapter(generic: Any, records: Mapping[str, type], config: ConfigDict) -> TypeAdapter[Any]:
    return TypeAdapter(generic[one_of(records)], config=config)


_JOB = _adapter(Job, {kind.name: kind.task for kind in KINDS.values()}, ConfigDict(extra="forbid"))
_OUTCOME = _adapter(
    _End,
    {**{kind.name: kind.result for kind in KINDS.values()}, Failure.kind: Failure},
    ConfigDict(extra="ignore"),
)


def encode_job(job: Job) -> bytes:
    """A job with its task, images among it."""
    return _pack(JOB_VERSIONS, _JOB.dump_python(job))


def decode_job(data: bytes) -> Job:
    """The job that `encode_job` was given. Raises WireError."""
    job: Job = _read(_JOB, _unpack(data, JOB_VERSIONS))
    return job


def encode_outcome(outcome: Outcome) -> bytes:
    """A result, or the error that stands in its place."""
    record = Failure.of(outcome) if isinstance(outcome, ServiceError) else outcome
    return _pack(OUTCOME_VERSIONS, _OUTCOME.dump_python(_End(record)))


def decode_outcome(data: bytes) -> Outcome:
    """The outcome that `encode_outcome` was given. Raises WireError."""
    end: _End[Any] = _read(_OUTCOME, _unpack(data, OUTCOME_VERSIONS))
    record: Outcome = end.outcome.error() if isinstance(end.outcome, Failure) else end.outcome
    return record


def _pack(versions: tuple[int, ...], fields: dict[str, Any]) -> bytes:
    packed: bytes = msgpack.packb({"version": versions[-1], **fields})
    return packed


def _unpack(data: bytes, versions: tuple[int, ...]) -> dict[str, Any]:
    """The document's fields but its version."""
    try:
        fields: Any = msgpack.unpackb(data)
    except Exception as error:
        # The library raises whatever comes of the bytes, and these may be anything.
        raise WireError(f"not msgpack: {error or type(error).__name__}") from error
    if not isinstance(fields, dict):
        raise WireError("not a document")
    version = fields.pop("version", None)
    if version not in versions:
        known = " and ".join(map(str, versions))
        raise WireError(f"version {version!r}; this build reads {known}")
    return fields


def _read(adapter: TypeAdapter[Any], fields: dict[str, Any]) -> Any:
    try:
        return adapter.validate_python(fields)
    except ValidationError as error:
        raise WireError(first_fault(error)) from error
    except Exception as error:
        # A validator that a value surprises: a shape or a number that nothing can hold.
        raise WireError(f"{type(error).__name__}: {error}") from error
