"""The errors that a client may receive, with their HTTP status, and the error that ends a process.

ServiceError
├── BadRequest
│   ├── MalformedBody            400
│   ├── MalformedRequest         400
│   ├── Unauthorized             401
│   ├── UnknownModel             404
│   ├── UnknownJob               404  JobLost where a job's data was lost; clients receive a 503
│   ├── NotFound                 404
│   ├── MethodNotAllowed         405
│   ├── NotAcceptable            406
│   ├── RequestTimeout           408
│   ├── JobNotFinished           409
│   ├── ResultExpired            410
│   ├── TooLarge                 413  body-too-large, too-many-images, image-too-large
│   ├── UnsupportedMediaType     415
│   ├── InvalidRequest           422  and its kinds
│   ├── CheckpointRefused        422
│   └── HeadersTooLarge          431
├── Busy                              says when to try again
│   ├── QueueFull                429
│   ├── RateLimited              429
│   ├── NotReady                 503
│   ├── NotEnoughMemory          503
│   ├── Draining                 503
│   └── StoreUnavailable         503
├── JobCancelled                 410
├── ComputationFailed            500
└── DeadlineExceeded             504
"""

from typing import ClassVar, Self


class ServiceError(Exception):
    """An error that a client receives as an RFC 9457 problem.

    `detail` is one line for the client. `job` is the id of the job that the error befell, if any.
    """

    status: ClassVar[int] = 500
    code: str = "computation-failed"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.job: str | None = None


class BadRequest(ServiceError):
    """A request that cannot be served as it is; it will not help to send it again."""


class MalformedBody(BadRequest):
    """A body that is not JSON, a truncated multipart form, or an unreadable image or array."""

    status, code, title = 400, "malformed-body", "Malformed body"


class MalformedRequest(BadRequest):
    """A request that is not HTTP/1.1: its request line, its header or the framing of its body is
    broken."""

    status, code, title = 400, "malformed-request", "Malformed request"


class Unauthorized(BadRequest):
    """A request without an API key, or with a wrong one, where keys are configured."""

    status, code, title = 401, "unauthorized", "Unauthorized"


class UnknownModel(BadRequest):
    """A name under which no checkpoint is served."""

    status, code, title = 404, "unknown-model", "Unknown model"


class UnknownJob(BadRequest):
    """The id of a job that does not exist, or belongs to another caller."""

    status, code, title = 404, "unknown-job", "Unknown job"


class JobLost(UnknownJob):
    """The id of a job that was made before the store lost its data."""


class NotFound(BadRequest):
    """A path that leads nowhere."""

    status, code, title = 404, "not-found", "Not found"


class MethodNotAllowed(BadRequest):
    """A method that the path does not take."""

    status, code, title = 405, "method-not-allowed", "Method not allowed"


class NotAcceptable(BadRequest):
    """An Accept header without a media type that the endpoint can answer with."""

    status, code, title = 406, "not-acceptable", "Not acceptable"


class RequestTimeout(BadRequest):
    """The request did not arrive in time."""

    status, code, title = 408, "request-timeout", "Request timeout"


class JobNotFinished(BadRequest):
    """A request for the result of a job that has not ended."""

    status, code, title = 409, "job-not-finished", "Job not finished"


class ResultExpired(BadRequest):
    """A request for a result that is no longer kept, or that its caller has deleted."""

    status, code, title = 410, "result-expired", "Result expired"


class TooLarge(BadRequest):
    """A body, a number of images, or an image that exceeds its limit."""

    status, title = 413, "Too large"

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class UnsupportedMediaType(BadRequest):
    """A body of a media type that the endpoint does not read."""

    status, code, title = 415, "unsupported-media-type", "Unsupported media type"


class InvalidRequest(BadRequest):
    """A request that is well formed, but not meaningful; `fields` has the faulty fields and why."""

    status, title = 422, "Invalid request"

    def __init__(
        self, detail: str, code: str = "invalid-request", fields: tuple[dict[str, str], ...] = ()
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.fields = fields

    @classmethod
    def at(cls, field: str, message: str, code: str = "invalid-request") -> Self:
        """Make the error of a single field."""
        return cls(f"{field}: {message}", code, ({"field": field, "message": message},))


class CheckpointRefused(BadRequest):
    """A checkpoint that was to be loaded and cannot be served as it is."""

    status, code, title = 422, "checkpoint-refused", "Checkpoint refused"


class HeadersTooLarge(BadRequest):
    """Request line, header lines, trailers and chunk extensions are too many or too long."""

    status, code, title = 431, "headers-too-large", "Headers too large"


class Busy(ServiceError):
    """A refusal for now: the client may try again after `retry_after` seconds."""

    status = 503

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class QueueFull(Busy):
    """The queue has reached a bound on jobs or on their cost."""

    status, code, title = 429, "queue-full", "Queue full"


class RateLimited(Busy):
    """The API key has used up its rate of requests or of their cost."""

    status, code, title = 429, "rate-limited", "Rate limited"


class NotReady(Busy):
    """The service, or the model, has no worker that is ready."""

    code, title = "not-ready", "Not ready"


class NotEnoughMemory(Busy):
    """A checkpoint that was to be loaded and does not fit into the memory that is free now."""

    code, title = "not-enough-memory", "Not enough memory"

    def __init__(self, detail: str, retry_after: int = 30) -> None:
        super().__init__(detail, retry_after)


class Draining(Busy):
    """The service is stopping."""

    code, title = "draining", "Draining"


class StoreUnavailable(Busy):
    """The store cannot be reached."""

    code, title = "store-unavailable", "Store unavailable"


class JobCancelled(ServiceError):
    """The job was cancelled before it finished."""

    status, code, title = 410, "job-cancelled", "Job cancelled"


class ComputationFailed(ServiceError):
    """The computation of a job failed; other jobs are unaffected."""

    status, code, title = 500, "computation-failed", "Computation failed"


class DeadlineExceeded(ServiceError):
    """The deadline of a job has passed, and its work is dropped."""

    status, code, title = 504, "deadline-exceeded", "Deadline exceeded"


class ServeError(Exception):
    """The reason why a process cannot start or go on, as one line for its operator."""
