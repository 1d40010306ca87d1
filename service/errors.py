"""Everything a client can be told went wrong, with its HTTP meaning.

ServiceError
├── BadRequest
│   ├── MalformedBody            400
│   ├── MalformedRequest         400
│   ├── Unauthorized             401
│   ├── UnknownModel             404
│   ├── UnknownJob               404
│   ├── NotFound                 404
│   ├── MethodNotAllowed         405
│   ├── NotAcceptable            406
│   ├── RequestTimeout           408
│   ├── JobNotFinished           409
│   ├── ResultExpired            410
│   ├── TooLarge                 413  body-too-large, too-many-images, image-too-large
│   ├── UnsupportedMediaType     415
│   ├── InvalidRequest           422  and its kinds
│   └── HeadersTooLarge          431
├── Busy                              says when to try again
│   ├── QueueFull                429
│   ├── RateLimited              429
│   ├── NotReady                 503
│   ├── Draining                 503
│   └── StoreUnavailable         503
├── JobCancelled                 410
├── ComputationFailed            500
└── DeadlineExceeded             504
"""

from typing import ClassVar, Self


class ServiceError(Exception):
    """Base: an RFC 9457 problem. `detail` is one clear line for the client; `job` the id of the
    job that it befell, if there was one."""

    status: ClassVar[int] = 500
    code: str = "computation-failed"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.job: str | None = None


class BadRequest(ServiceError):
    """The request cannot be served as it is; sending it again will not help."""


class MalformedBody(BadRequest):
    """Not JSON, a truncated multipart, an unreadable image or array."""

    status, code, title = 400, "malformed-body", "Malformed body"


class MalformedRequest(BadRequest):
    """What arrived is no HTTP/1.1 request: its request line, its header or the framing of its
    body is broken."""

    status, code, title = 400, "malformed-request", "Malformed request"


class Unauthorized(BadRequest):
    """Keys are configured and none, or a wrong one, came."""

    status, code, title = 401, "unauthorized", "Unauthorized"


class UnknownModel(BadRequest):
    """No checkpoint of that name is served."""

    status, code, title = 404, "unknown-model", "Unknown model"


class UnknownJob(BadRequest):
    """No such job, or another caller's."""

    status, code, title = 404, "unknown-job", "Unknown job"


class NotFound(BadRequest):
    """Nothing lives at this path."""

    status, code, title = 404, "not-found", "Not found"


class MethodNotAllowed(BadRequest):
    """The path exists, the method does not."""

    status, code, title = 405, "method-not-allowed", "Method not allowed"


class NotAcceptable(BadRequest):
    """The Accept header names nothing this endpoint can answer with."""

    status, code, title = 406, "not-acceptable", "Not acceptable"


class RequestTimeout(BadRequest):
    """The request did not arrive in time."""

    status, code, title = 408, "request-timeout", "Request timeout"


class JobNotFinished(BadRequest):
    """The job has no result yet."""

    status, code, title = 409, "job-not-finished", "Job not finished"


class ResultExpired(BadRequest):
    """The job had an end that is no longer remembered, or that its caller had forgotten."""

    status, code, title = 410, "result-expired", "Result expired"


class TooLarge(BadRequest):
    """A body, a number of images, or an image past its limit."""

    status, title = 413, "Too large"

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class UnsupportedMediaType(BadRequest):
    """The body is of a type that this endpoint does not read."""

    status, code, title = 415, "unsupported-media-type", "Unsupported media type"


class InvalidRequest(BadRequest):
    """Well-formed, but not meaningful; `fields` says where and why."""

    status, title = 422, "Invalid request"

    def __init__(
        self, detail: str, code: str = "invalid-request", fields: tuple[dict[str, str], ...] = ()
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.fields = fields

    @classmethod
    def at(cls, field: str, message: str, code: str = "invalid-request") -> Self:
        """One field at fault."""
        return cls(f"{field}: {message}", code, ({"field": field, "message": message},))


class HeadersTooLarge(BadRequest):
    """Request line, header lines, trailers and chunk extensions are too many or too long."""

    status, code, title = 431, "headers-too-large", "Headers too large"


class Busy(ServiceError):
    """Not now: try again after `retry_after` seconds."""

    status = 503

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class QueueFull(Busy):
    """Admission is bounded, and the bound is reached."""

    status, code, title = 429, "queue-full", "Queue full"


class RateLimited(Busy):
    """The caller has had what its key may have for now."""

    status, code, title = 429, "rate-limited", "Rate limited"


class NotReady(Busy):
    """Models are still loading."""

    code, title = "not-ready", "Not ready"


class Draining(Busy):
    """The service is stopping."""

    code, title = "draining", "Draining"


class StoreUnavailable(Busy):
    """The queue cannot be reached."""

    code, title = "store-unavailable", "Store unavailable"


class JobCancelled(ServiceError):
    """The job was cancelled before it finished."""

    status, code, title = 410, "job-cancelled", "Job cancelled"


class ComputationFailed(ServiceError):
    """The model's answer was no answer; other jobs are unaffected."""

    status, code, title = 500, "computation-failed", "Computation failed"


class DeadlineExceeded(ServiceError):
    """Time ran out; the work is dropped."""

    status, code, title = 504, "deadline-exceeded", "Deadline exceeded"


class ServeError(Exception):
    """Why a process of ours cannot start or go on; one clear line for whoever runs it."""
