"""Requests and answers of /v1/jobs, for every kind of work."""

from datetime import datetime
from typing import Annotated, Any, Literal, Protocol, Union

from pydantic import Field, TypeAdapter, create_model

from service.contracts.base import Checkpoint, PriorityName, RequestModel, ResponseModel, Work
from service.hosts import LONGEST_URL
from service.jobs import JobStatus
from service.kind import AnyKind
from service.kinds import KINDS

MOST_LISTED = 100


class QueuedWork(Protocol):
    """A request to queue work of the kind that it names."""

    @property
    def kind(self) -> str:
        """Name of the kind."""
        ...

    @property
    def request(self) -> Work:
        """The request that the kind's waiting endpoint would take as JSON."""
        ...

    @property
    def callback_url(self) -> str | None:
        """The URL to which the end of the job is told; None for no call."""
        ...


CallbackUrl = Annotated[
    str | None,
    Field(
        max_length=LONGEST_URL,
        description="URL to which the job's state is POSTed once it has ended, signed by the "
        "scheme of Standard Webhooks; its host is one of those that the service allows.",
        examples=["https://hooks.example.com/mulan"],
    ),
]


def _job_request(kind: AnyKind) -> type[RequestModel]:
    """`{"kind": …, "request": …}`; the request of `SampleRequest` is a `SampleJob`."""
    name: Any = Literal[kind.name]
    return create_model(
        f"{kind.request.__name__.removesuffix('Request')}Job",
        __base__=RequestModel,
        __doc__=f"A request to queue, as POST /v1/{kind.name} takes it as JSON.",
        kind=(name, ...),
        request=(kind.request, ...),
        callback_url=(CallbackUrl, None),
    )


JOB_REQUESTS = tuple(_job_request(kind) for kind in KINDS.values())
_one_of: Any = Union[JOB_REQUESTS]  # noqa: UP007 - not written out
JOB_REQUEST: TypeAdapter[Any] = TypeAdapter(Annotated[_one_of, Field(discriminator="kind")])


class JobResponse(ResponseModel):
    """State of a job."""

    id: str = Field(description="Id of the job.")
    kind: str = Field(description="Kind of work.", json_schema_extra={"enum": list(KINDS)})
    model: str = Field(description="Name of the model.")
    checkpoint: Checkpoint
    priority: PriorityName
    status: JobStatus
    progress: float = Field(ge=0, le=1, description="Share of the work that is done.")
    created_at: datetime
    deadline: datetime = Field(description="Time at which it is dropped if it has not ended.")
    started_at: datetime | None
    finished_at: datetime | None


class JobListQuery(RequestModel):
    """The choice of a page of jobs."""

    status: JobStatus | None = Field(None, description="List only jobs of this status.")
    limit: int = Field(20, ge=1, le=MOST_LISTED, description="Number of jobs on a page at most.")
    cursor: str | None = Field(None, description="`next_cursor` of the previous page.")


class JobListResponse(ResponseModel):
    """One page of the caller's jobs, the latest first."""

    jobs: tuple[JobResponse, ...]
    next_cursor: str | None = Field(
        description="`cursor` of the next page; null where there is none."
    )
