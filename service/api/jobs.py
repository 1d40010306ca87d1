"""/v1/jobs: work that is queued now and asked for later."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import TypeAdapter

from service.api import documentation, waiting
from service.api.anomalies import ANOMALIES
from service.api.bodies import read_json
from service.api.context import Context, InContext
from service.api.kinds import KindOfWork
from service.api.likelihoods import LIKELIHOODS
from service.api.negotiation import JSON, answer_type, body_type
from service.api.samples import SAMPLES
from service.contracts.base import PRIORITIES
from service.contracts.jobs import AnyJob, JobListResponse, JobResponse
from service.errors import InvalidRequest, JobNotFinished
from service.jobs import UNFINISHED, JobKind, JobStatus
from service.store import rules
from service.store.base import JobSummary

router = APIRouter(tags=["jobs"])

MOST_LISTED = 100
KINDS: dict[JobKind, KindOfWork] = {
    "samples": SAMPLES,
    "likelihoods": LIKELIHOODS,
    "anomalies": ANOMALIES,
}
_PRIORITY_NAMES = {number: name for name, number in PRIORITIES.items()}
_ANY_JOB: TypeAdapter[AnyJob] = TypeAdapter(AnyJob)


@router.post(
    "/v1/jobs",
    summary="Queue work",
    status_code=202,
    responses=documentation.queued(),
    openapi_extra=documentation.job_body(),
)
async def create_job(request: Request, response: Response, context: InContext) -> JobResponse:
    """Queue what a waiting endpoint would take, and come back for its result."""
    with context.gate.enter():
        await context.quotas.admit(request.state.owner)
        body_type(request, (JSON,))
        wanted = await read_json(request, _ANY_JOB)
        kind = KINDS[wanted.kind]
        asked = await kind.take(wanted.request, context)
        wait = wanted.request.timeout_s or context.settings.max_timeout_s
        _, job_id = await waiting.hand_in(kind, asked, wait, request, context, attended=False)
        response.headers["Location"] = f"/v1/jobs/{job_id}"
        return describe(await context.store.summary(job_id))


@router.get("/v1/jobs", summary="Your jobs", responses=documentation.problems(401, 422, 503))
async def list_jobs(
    request: Request,
    context: InContext,
    status: Annotated[JobStatus | None, Query(description="Only those that stand so.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 20,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> JobListResponse:
    """The caller's jobs, the latest first."""
    context.gate.check_loaded()
    before = None if cursor is None else _place(cursor)
    page = await context.store.jobs(request.state.owner, status, limit, before)
    more = None if page.before is None else str(page.before)
    return JobListResponse(jobs=tuple(map(describe, page.jobs)), next_cursor=more)


@router.get("/v1/jobs/{id}", summary="How a job stands", responses=documentation.job())
async def show_job(id: str, request: Request, context: InContext) -> JobResponse:  # noqa: A002
    """Where it stands now."""
    return describe(await owned(id, request, context))


@router.get(
    "/v1/jobs/{id}/result",
    summary="What a job came to",
    response_class=Response,
    responses=documentation.results(),
)
async def show_result(id: str, request: Request, context: InContext) -> Response:  # noqa: A002
    """The body that the waiting endpoint would have returned, or its problem."""
    summary = await owned(id, request, context)
    kind = KINDS[summary.kind]
    media_type = answer_type(request, kind.offers)
    if summary.status in UNFINISHED:
        raise JobNotFinished(f"job {id} is {summary.status}")
    return await waiting.render(kind, media_type, await context.store.record(id), context)


@router.delete(
    "/v1/jobs/{id}",
    summary="Cancel a job, or forget its result",
    status_code=204,
    responses=documentation.job(),
)
async def delete_job(id: str, request: Request, context: InContext) -> None:  # noqa: A002
    """Work stops at the next network evaluation. Of a job that has ended, the result goes."""
    summary = await owned(id, request, context)
    if summary.status in UNFINISHED:
        await context.store.cancel(id)
    else:
        await context.store.expire(id)


async def owned(job_id: str, request: Request, context: Context) -> JobSummary:
    """A job of the caller's. Raises UnknownJob, also for one of somebody else's."""
    context.gate.check_loaded()
    summary = await context.store.summary(job_id)
    if summary.owner != request.state.owner:
        raise rules.unknown(job_id)
    request.state.job_id = summary.id
    return summary


def describe(summary: JobSummary) -> JobResponse:
    """A job as its caller sees it."""
    return JobResponse(
        id=summary.id,
        kind=summary.kind,
        model=summary.model,
        checkpoint=summary.checkpoint,
        priority=_PRIORITY_NAMES[summary.priority],
        status=summary.status,
        progress=summary.progress,
        created_at=_time(summary.created_at),
        deadline=_time(summary.deadline),
        started_at=None if summary.started_at is None else _time(summary.started_at),
        finished_at=None if summary.finished_at is None else _time(summary.finished_at),
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _place(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
        raise InvalidRequest.at("cursor", "is no next_cursor")
    return int(cursor)
