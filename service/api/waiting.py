"""Requests become jobs here; waiting endpoints wait for the end as long as their client listens."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import anyio
from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from service.api import admission, documentation, kinds
from service.api.body_limit import release_body
from service.api.context import Context, InContext
from service.api.idempotency import key_of
from service.api.negotiation import answer_type
from service.catalogue import ServedModel
from service.errors import (
    DeadlineExceeded,
    Draining,
    RateLimited,
    ServiceError,
    StoreUnavailable,
    UnknownJob,
)
from service.jobs import Job, Task
from service.kind import AnyKind
from service.kinds import KINDS
from service.store.base import JobRecord, Key
from service.store.retry import cancel_all

Answer = TypeVar("Answer")

_LOG = logging.getLogger("mulan.api")
# Seconds: for the store to hear that somebody has left, and until it is told again.
_CLEANUP_S = 5
_AGAIN_S = 1
# A process that cannot reach the queue cannot say that its clients go on waiting, and their jobs
# are dropped as those of a dead one.
_LOST = (
    "the queue has lost this job, or dropped it because this process could not reach it for a "
    "while; send it again"
)
# An answer is made on the event loop, without the wait for a thread, if its job's row-evaluations,
# which are at least its images, times the values of an image are at most so many: 83 images of
# 28x28 where each took one evaluation, and four where each took 20.
_QUICK = 1 << 16


def router(kind: AnyKind) -> APIRouter:
    """POST /v1/<kind>, the waiting endpoint of one kind."""

    async def create(request: Request, context: InContext) -> Response:
        return await answer(kind, request, context)

    routes = APIRouter(tags=[kind.name])
    routes.add_api_route(
        f"/v1/{kind.name}",
        create,
        methods=["POST"],
        name=f"create_{kind.name}",
        summary=kind.summary,
        description=kind.description,
        response_class=Response,
        responses=documentation.answers(kind),
        openapi_extra=documentation.body(kind),
    )
    return routes


async def answer(kind: AnyKind, request: Request, context: Context) -> Response:
    """Read, queue, wait and render one request. Raises ServiceError, ClientDisconnect."""
    with context.gate.enter():
        media_type = answer_type(request, kinds.offers(kind))
        await context.quotas.admit(request.state.owner)
        asked = await kinds.read(kind, request, context)
        wait = asked.wanted.timeout_s or context.settings.default_timeout_s
        job, job_id = await hand_in(kind, asked, wait, request, context, attended=True)
        # Its images may be large, and the wait long.
        del asked
        record = await attend(job_id, job, context, request)
        return await render(kind, media_type, record, context)


async def hand_in(
    kind: AnyKind,
    asked: kinds.Asked,
    wait: float,
    request: Request,
    context: Context,
    attended: bool,
) -> tuple[Job, str]:
    """Price, decode and queue a request. Returns the job that was made of it, and the id of the job
    that stands in the queue: the same, or one that has the same idempotency key.

    Raises ServiceError. Images that there is no room for are refused before they are decoded, and
    an owner is charged for admitted work alone.
    """
    key, state = key_of(request, asked), request.state
    caller = admission.Caller(state.owner, state.request_id, state.trace)
    model = context.catalogue.get(asked.wanted.model)
    cost = await _priced(kind, asked, model, context)
    if asked.parts and not await _is_known(key, context):
        await context.store.check_capacity(caller.owner, cost)
        await context.quotas.check(caller.owner, cost)
    task = await _decoded(kind, asked, model, context)
    release_body(request)
    job_id = context.store.new_id(key)
    job = admission.job(job_id, task, model, wait, asked, caller, cost, context.settings)
    try:
        # Again, for others may have been admitted while the images were decoded.
        await context.quotas.check(caller.owner, cost)
    except RateLimited:
        if not await _is_known(key, context):
            raise
    try:
        state.job_id = await context.store.put(job, key, attended)
    except StoreUnavailable:
        # It may have been taken all the same, and nobody waits: its client is refused. What has a
        # key may stay, for when it is asked again.
        if attended and key is None:
            context.run_in_background(_leave(job.id, job, context))
        raise
    if state.job_id == job.id:
        await _charge(caller.owner, cost, context)
    return job, state.job_id


async def _priced(kind: AnyKind, asked: kinds.Asked, model: ServedModel, context: Context) -> int:
    """The predicted price; the headers of photographs are read on another thread."""
    if asked.parts and model.manifest.preprocessing is not None:
        return await anyio.to_thread.run_sync(admission.cost, kind, asked, model, context.settings)
    return admission.cost(kind, asked, model, context.settings)


async def _decoded(kind: AnyKind, asked: kinds.Asked, model: ServedModel, context: Context) -> Task:
    """The task, whose images are decoded on another thread. Raises BadRequest."""
    if asked.parts:
        return await anyio.to_thread.run_sync(admission.task, kind, asked, model, context)
    return admission.task(kind, asked, model, context)


async def _is_known(key: Key | None, context: Context) -> bool:
    """Whether the request joins a known job, and so brings no work of its own."""
    return key is not None and await context.store.knows(key)


async def _charge(owner: str, cost: int, context: Context) -> None:
    """Count an admitted job's cost; a store that is away just now counts nothing."""
    with suppress(StoreUnavailable):
        await context.quotas.charge(owner, cost)


async def render(kind: AnyKind, media_type: str, record: JobRecord, context: Context) -> Response:
    """The answer of a job that has ended. Raises the error that it failed with, and NotReady."""
    return await made(record, context, lambda model: kinds.render(kind, media_type, record, model))


async def made(
    record: JobRecord, context: Context, make: Callable[[ServedModel], Answer]
) -> Answer:
    """Return what `make` makes of a job that has succeeded, on another thread where that takes a
    while. Raises the error that the job failed with, and NotReady."""
    if isinstance(record.outcome, ServiceError):
        record.outcome.job = record.job.id
        raise record.outcome
    model = context.catalogue.by_checkpoint(record.job.checkpoint)
    kind = KINDS[record.job.task.kind]
    if not kind.slow and record.job.cost * model.config.dimensions <= _QUICK:
        return make(model)
    return await anyio.to_thread.run_sync(make, model)


async def attend(job_id: str, job: Job, context: Context, request: Request) -> JobRecord:
    """The job's record at its end. The client leaves the job however the wait ends.

    Raises DeadlineExceeded, Draining when the service stops before the end, and ClientDisconnect
    when the client has left.
    """
    try:
        return await _end_of(job_id, job, context, request)
    finally:
        with anyio.CancelScope(shield=True):
            await _leave(job_id, job, context)


async def _leave(job_id: str, job: Job, context: Context) -> None:
    """Tell the store that the client has left, so that nothing is computed for it; repeated for as
    long as the store is away."""
    while True:
        with anyio.move_on_after(_CLEANUP_S):
            try:
                await context.store.leave(job_id, job.id)
            except ServiceError as error:
                extra = {"job_id": job_id}
                _LOG.warning("a job could not be left: %s", error.detail, extra=extra)
            else:
                return
        if time.time() > job.deadline or context.gate.closed.is_set():
            return
        await anyio.sleep(_AGAIN_S)


async def _end_of(job_id: str, job: Job, context: Context, request: Request) -> JobRecord:
    """Wait for the job's end, and no longer than its deadline, its client and the service last."""
    ending = asyncio.create_task(context.store.wait(job_id))
    leaving = asyncio.create_task(_disconnect(request))
    left = max(0.0, job.deadline - time.time())
    try:
        with context.gate.closing() as closing:
            waits: set[asyncio.Future[Any]] = {ending, leaving, closing}
            await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            return ending.result()
        if leaving.done():
            raise ClientDisconnect
        if closing.done():
            raise Draining("the service is stopping")
        raise DeadlineExceeded(f"no result within {job.deadline - job.created_at:.3g} s")
    except UnknownJob:
        raise _about(job_id, StoreUnavailable(_LOST)) from None
    except ServiceError as error:
        raise _about(job_id, error) from None
    finally:
        await cancel_all(ending, leaving)


async def _disconnect(request: Request) -> None:
    """Wait until the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _about(job_id: str, error: ServiceError) -> ServiceError:
    """Return the error, which names the job."""
    error.job = job_id
    return error
