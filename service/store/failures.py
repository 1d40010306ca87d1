"""Errors that stand in the place of a result, as records."""

from dataclasses import dataclass
from typing import ClassVar, Self

from service.errors import Busy, ComputationFailed, InvalidRequest, ServiceError, TooLarge


@dataclass(frozen=True, slots=True)
class Failure:
    """An error by the name of its class. `retry_after` is what Busy has, `fields` what
    InvalidRequest has, `job` the id of the job that it befell, if there was one."""

    kind: ClassVar[str] = "error"

    name: str
    detail: str
    code: str
    job: str | None
    retry_after: int | None = None
    fields: tuple[dict[str, str], ...] = ()

    @classmethod
    def of(cls, error: ServiceError) -> Self:
        """The record of an error, by the nearest of its classes that `service.errors` has."""
        return cls(
            name=next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _ERRORS),
            detail=error.detail,
            code=error.code,
            job=error.job,
            retry_after=error.retry_after if isinstance(error, Busy) else None,
            fields=error.fields if isinstance(error, InvalidRequest) else (),
        )

    def error(self) -> ServiceError:
        """The error itself; ComputationFailed for a class that only a newer build has."""
        error = self._made(_ERRORS.get(self.name, ComputationFailed))
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


def _family(kind: type[ServiceError]) -> dict[str, type[ServiceError]]:
    """A class of errors and all that descend from it, by name."""
    found = {kind.__name__: kind}
    for child in kind.__subclasses__():
        found |= _family(child)
    return found


_ERRORS = _family(ServiceError)
