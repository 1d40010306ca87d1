"""Routes of /v1/jobs: work is queued now and its result fetched later."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from service.api import documentation, waiting
from service.api.bodies import read_json
from service.api.context import Context, InContext, JobId
from service.api.job_contract import (
    JOB_REQUEST,
    JobListQuery,
    JobListResponse,
    JobResponse,
    QueuedWork,
)
from service.api.kinds import offers, take
from service.api.negotiation import JSON, answer_type, body_type
from service.contracts.base import PRIORITIES
from service.errors import InvalidRequest, JobLost, JobNotFinished, StoreUnavailable
from service.hosts import AllowedHosts
from service.jobs import UNFINISHED
from service.kinds import KINDS
from service.store import rules
from service.store.base import JobSummary
from service.urls import UrlError

router = APIRouter(tags=["jobs"])

_PRIORITY_NAMES = {number: name for name, number in PRIORITIES.items()}
_LOWEST, _HIGHEST = min(_PRIORITY_NAMES), max(_PRIORITY_NAMES)


@router.post(
    "/v1/jobs",
    summary="Queue work",
    status_code=202,
    responses=documentation.queued(),
    openapi_extra=documentation.job_body(),
)
async def create_job(request: Request, response: Response, context: InContext) -> JobResponse:
    """Queue a request that a waiting endpoint would take; the result is fetched later."""
    with context.gate.enter():
        await context.quotas.admit(request.state.owner)
        body_type(request, (JSON,))
        wanted: QueuedWork = await read_json(request, JOB_REQUEST)
        kind = KINDS[wanted.kind]
        asked = await take(kind, wanted.request, context)
        if wanted.callback_url is not None:
            _check_callback(wanted.callback_url, context)
            asked = asked._replace(callback_url=wanted.callback_url)
        wait = wanted.request.timeout_s or context.settings.max_timeout_s
        _, job_id = await waiting.hand_in(kind, asked, wait, request, context, attended=False)
        response.headers["Location"] = f"/v1/jobs/{job_id}"
        return describe(await context.store.summary(job_id))


@router.get("/v1/jobs", summary="List your jobs", responses=documentation.problems(401, 422, 503))
async def list_jobs(
    request: Request,
    context: InContext,
    wanted: Annotated[JobListQuery, Query()],
) -> JobListResponse:
    """The caller's jobs, the latest first."""
    context.gate.check_loaded()
    before = None if wanted.cursor is None else _place(wanted.cursor)
    page = await context.store.jobs(request.state.owner, wanted.status, wanted.limit, before)
    more = None if page.before is None else str(page.before)
    return JobListResponse(jobs=tuple(map(describe, page.jobs)), next_cursor=more)


@router.get("/v1/jobs/{id}", summary="State of a job", responses=documentation.job())
async def show_job(id: JobId, request: Request, context: InContext) -> JobResponse:  # noqa: A002
    """The state of one job."""
    return describe(await owned(id, request, context))


@router.get(
    "/v1/jobs/{id}/result",
    summary="Result of a job",
    response_class=Response,
    responses=documentation.results(),
)
async def show_result(id: JobId, request: Request, context: InContext) -> Response:  # noqa: A002
    """The body that the waiting endpoint would have returned, or its problem."""
    summary = await owned(id, request, context)
    kind = KINDS[summary.kind]
    media_type = answer_type(request, offers(kind))
    if summary.status in UNFINISHED:
        raise JobNotFinished(f"job {id} is {summary.status}")
    return await waiting.render(kind, media_type, await context.store.record(id), context)


@router.delete(
    "/v1/jobs/{id}",
    summary="Cancel a job, or forget its result",
    status_code=204,
    responses=documentation.job(),
)
async def delete_job(id: JobId, request: Request, context: InContext) -> None:  # noqa: A002
    """Cancel a job: its work stops at the next network evaluation. For a job that has ended, drop
    its result."""
    summary = await owned(id, request, context)
    if summary.status in UNFINISHED:
        await context.store.cancel(id)
    else:
        await context.store.expire(id)


async def owned(job_id: str, request: Request, context: Context) -> JobSummary:
    """The state of a job of the caller. Raises UnknownJob, also for a job of another caller, and
    StoreUnavailable for one that was lost with the store's data."""
    context.gate.check_loaded()
    try:
        summary = await context.store.summary(job_id)
    except JobLost as lost:
        raise StoreUnavailable(lost.detail) from lost
    if summary.owner != request.state.owner:
        raise rules.unknown(job_id)
    request.state.job_id = summary.id
    return summary


def _check_callback(url: str, context: Context) -> None:
    """Raise InvalidRequest for a URL that this service does not call."""
    hosts = AllowedHosts.of(context.settings.callback_hosts)
    if not hosts:
        raise InvalidRequest.at(
            "callback_url", "leave it out: this service calls nobody (MULAN_CALLBACK_HOSTS)"
        )
    try:
        hosts.check_url(url)
    except UrlError as error:
        raise InvalidRequest.at("callback_url", str(error)) from error


def describe(summary: JobSummary) -> JobResponse:
    """The state of a job as an answer."""
    return JobResponse(
        id=summary.id,
        kind=summary.kind,
        model=summary.model,
        checkpoint=summary.checkpoint,
        priority=_PRIORITY_NAMES[min(max(summary.priority, _LOWEST), _HIGHEST)],
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
