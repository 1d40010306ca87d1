"""/v1/jobs: what is queued, and how it stands."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from service.contracts.anomalies import AnomalyRequest
from service.contracts.base import Checkpoint, PriorityName, RequestModel, ResponseModel
from service.contracts.likelihoods import LikelihoodRequest
from service.contracts.samples import SampleRequest
from service.jobs import JobKind, JobStatus


class SampleJob(RequestModel):
    """What POST /v1/samples would take."""

    kind: Literal["samples"]
    request: SampleRequest


class LikelihoodJob(RequestModel):
    """What POST /v1/likelihoods would take as JSON."""

    kind: Literal["likelihoods"]
    request: LikelihoodRequest


class AnomalyJob(RequestModel):
    """What POST /v1/anomalies would take as JSON."""

    kind: Literal["anomalies"]
    request: AnomalyRequest


AnyJob = Annotated[SampleJob | LikelihoodJob | AnomalyJob, Field(discriminator="kind")]


class JobResponse(ResponseModel):
    """How a job stands."""

    id: str
    kind: JobKind
    model: str
    checkpoint: Checkpoint
    priority: PriorityName
    status: JobStatus
    progress: float = Field(ge=0, le=1, description="Share of the work that is done.")
    created_at: datetime
    deadline: datetime = Field(description="When it is dropped if it has not ended.")
    started_at: datetime | None
    finished_at: datetime | None


class JobListResponse(ResponseModel):
    """The caller's jobs, the latest first."""

    jobs: tuple[JobResponse, ...]
    next_cursor: str | None = Field(description="Of the next page; null where there is none.")
