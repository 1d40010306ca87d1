"""What is answered in place of a result, and of the process itself."""

from typing import Literal

from pydantic import Field

from service.contracts.base import ResponseModel


class InvalidField(ResponseModel):
    """One field at fault."""

    field: str
    message: str


class ProblemDetails(ResponseModel):
    """RFC 9457. `code` tells programs what `detail` tells people."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    job: str | None = Field(None, exclude_if=lambda job: job is None)
    errors: tuple[InvalidField, ...] = Field((), exclude_if=lambda errors: not errors)


class ProcessState(ResponseModel):
    """Of the process."""

    status: Literal["alive", "ready"]
