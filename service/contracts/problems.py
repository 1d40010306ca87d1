"""Answers that report a problem, or how the process itself stands."""

from typing import Literal

from pydantic import Field

from service.contracts.base import ResponseModel


class InvalidField(ResponseModel):
    """One field at fault."""

    field: str = Field(description="Path of the field in the request.")
    message: str = Field(description="The reason why the field was refused.")


class ProblemDetails(ResponseModel):
    """A problem by RFC 9457. `code` tells programs what `detail` tells people."""

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
    """State of the process that answers."""

    status: Literal["alive", "ready"]
