"""The wire of /v1/jobs: what is queued, and how it stands. Torch-free."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.contracts import AnomalyRequest, LikelihoodRequest, PriorityName, SampleRequest
from service.jobs import Kind, Status


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SampleJob(_Request):
    """What POST /v1/samples would take."""

    kind: Literal["samples"]
    request: SampleRequest


class LikelihoodJob(_Request):
    """What POST /v1/likelihoods would take as JSON."""

    kind: Literal["likelihoods"]
    request: LikelihoodRequest


class AnomalyJob(_Request):
    """What POST /v1/anomalies would take as JSON."""

    kind: Literal["anomalies"]
    request: AnomalyRequest


AnyJob = Annotated[SampleJob | LikelihoodJob | AnomalyJob, Field(discriminator="kind")]


class JobAnswer(BaseModel):
    """How a job stands."""

    model_config = ConfigDict(frozen=True)

    id: str
    kind: Kind
    model: str
    checkpoint: str = Field(description="SHA-256 of the weights.")
    priority: PriorityName
    status: Status
    progress: float = Field(ge=0, le=1, description="Share of the work that is done.")
    created_at: datetime
    deadline: datetime = Field(description="When it is dropped if it has not ended.")
    started_at: datetime | None
    finished_at: datetime | None


class JobsAnswer(BaseModel):
    """The caller's jobs, the latest first."""

    model_config = ConfigDict(frozen=True)

    jobs: tuple[JobAnswer, ...]
    next_cursor: str | None = Field(description="Of the next page; null where there is none.")
