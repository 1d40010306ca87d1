"""Readers of builds that were released, frozen: `released/<release>/` has the schemas by which each
read its documents, and bytes that it wrote. Nothing here imports the service.

A fleet is updated workers first. For a while APIs of the release before read what workers of this
build write; jobs of this build may meet workers of the release before. Releases read jobs strictly.
They read outcomes tolerantly, but for those of STRICT_ON_OUTCOMES, whose APIs answer 500 to a
result with a field that they do not know.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
from jsonschema import Draft202012Validator, ValidationError, validators

RELEASED = Path(__file__).parent / "released"
# To be deleted here with a line in CHANGELOG.md: APIs of that release are to be updated before its
# workers, once.
STRICT_ON_OUTCOMES: tuple[str, ...] = ()

JOB_ADVICE = """
Release {release} cannot read a job that this build writes: {fault}.
Workers read jobs strictly, so that none runs a job that it understands in part. Either leave the
field out of the bytes where it has its default (`exclude_if`, as `points` of a sampler has it), or
write a new version: add it to JOB_VERSIONS in service/store/wire.py and give the field a default,
for jobs of the versions before. Workers of {release} refuse jobs of that version as a whole."""
OUTCOME_ADVICE = """
Release {release} cannot read an outcome that this build writes: {fault}.
The names and types that a release reads stay as they are. A new field is fine if it has a default,
for outcomes of older workers, once no API refuses it: those of a release in STRICT_ON_OUTCOMES
(tests/service/store/frozen_reader.py) do. Delete the release there, and write in CHANGELOG.md that
its APIs are to be updated before its workers, this once."""


class UnreadError(AssertionError):
    """The release cannot read a document; the text says what to do about it."""


def _chosen(validator: Any, _: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """A union is read by its discriminator, as pydantic does, so that one fault is told."""
    told = schema["discriminator"]
    name = instance.get(told["propertyName"])
    if name not in told["mapping"]:
        yield ValidationError(f"{told['propertyName']} {name!r} is unknown")
    else:
        yield from validator.descend(instance, {"$ref": told["mapping"][name]})


def _nothing(*_: Any) -> Iterator[ValidationError]:
    return iter(())


_types = Draft202012Validator.TYPE_CHECKER.redefine(
    "string", lambda _, value: isinstance(value, str | bytes)
)
_Strict = validators.extend(Draft202012Validator, {"oneOf": _chosen}, type_checker=_types)
_Tolerant = validators.extend(_Strict, {"additionalProperties": _nothing})


class Release:
    """The reader of one release, by its folder's name."""

    def __init__(self, name: str) -> None:
        self.name, self.folder = name, RELEASED / name

    def __str__(self) -> str:
        return self.name

    def written(self, what: str) -> dict[str, bytes]:
        """Documents that the release wrote, `what` being job or outcome, by name."""
        files = sorted(self.folder.glob(f"{what}-*.msgpack"))
        return {file.stem.removeprefix(f"{what}-"): file.read_bytes() for file in files}

    def read_job(self, data: bytes) -> None:
        """As a worker does; one that refuses the version as a whole is asked nothing else. Raises
        UnreadError."""
        if msgpack.unpackb(data)["version"] in self._schema("job")["properties"]["version"]["enum"]:
            self._read(data, "job", _Strict, JOB_ADVICE)

    def read_outcome(self, data: bytes, strictly: bool = False) -> None:
        """As an API does. Raises UnreadError."""
        self._read(data, "outcome", _Strict if strictly else _Tolerant, OUTCOME_ADVICE)

    def _read(self, data: bytes, what: str, reader: Any, advice: str) -> None:
        for fault in reader(self._schema(what)).iter_errors(msgpack.unpackb(data)):
            told = f"{fault.json_path}: {fault.message}"
            raise UnreadError(advice.format(release=self.name, fault=told))

    def _schema(self, what: str) -> Any:
        return json.loads((self.folder / f"{what}.schema.json").read_text())


RELEASES = [Release(folder.name) for folder in sorted(RELEASED.iterdir())]
