"""What is answered in place of a result, and of the process itself."""

from typing import Literal

from pydantic import Field

from service.contracts.base import Answer


class FieldProblem(Answer):
    """One field at fault."""

    field: str
    message: str


class Problem(Answer):
    """RFC 9457. `code` tells programs what `detail` tells people."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    job: str | None = Field(None, exclude_if=lambda job: job is None)
    errors: tuple[FieldProblem, ...] = Field((), exclude_if=lambda errors: not errors)


class State(Answer):
    """Of the process."""

    status: Literal["alive", "ready"]
