"""Hand a job in; and, on the waiting endpoints, wait for its end as long as somebody listens."""

import logging
import time
from collections.abc import Awaitable, Callable

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from service.api import admission
from service.api.context import Context
from service.api.idempotency import key_of
from service.api.kinds import Asked, KindOfWork
from service.api.negotiation import answer_type
from service.errors import DeadlineExceeded, Draining, ServiceError, StoreUnavailable
from service.jobs import Job
from service.store.base import JobRecord

_LOG = logging.getLogger("mulan.api")
# Seconds: for the store to hear that somebody has left, and until it is told again.
_CLEANUP_S = 5
_AGAIN_S = 1


async def answer(kind: KindOfWork, request: Request, context: Context) -> Response:
    """The whole way of a waiting endpoint. Raises ServiceError, ClientDisconnect."""
    with context.gate.enter():
        media_type = answer_type(request, kind.offers)
        await context.quotas.admit(request.state.owner)
        asked = await kind.read(request, context)
        wait = asked.wanted.timeout_s or context.settings.default_timeout_s
        job, job_id = await hand_in(kind, asked, wait, request, context, attended=True)
        record = await _attend(job_id, job, context, request)
        return await render(kind, media_type, record, context)


async def hand_in(
    kind: KindOfWork,
    asked: Asked,
    wait: float,
    request: Request,
    context: Context,
    attended: bool,
) -> tuple[Job, str]:
    """Judge, price, decode and queue; the job, and the id of the one that was queued or joined.

    Raises ServiceError. What there is no room for is refused before it is decoded.
    """
    key, state = key_of(request, asked), request.state
    caller = admission.Caller(state.owner, state.request_id, state.trace)
    model = context.catalogue.get(asked.wanted.model)
    cost = kind.price(asked, model, context)
    if key is None:
        await context.store.check_capacity(cost)
    await context.quotas.charge(caller.owner, cost)
    task = await anyio.to_thread.run_sync(kind.task, asked, model, context)
    job = admission.job(task, model, wait, asked.wanted.priority, caller, cost, context.settings)
    try:
        state.job_id = await context.store.put(job, key, attended)
        return job, state.job_id
    except StoreUnavailable:
        # It may have been taken all the same, and nobody waits: its client is refused. What has a
        # key may stay, for when it is asked again.
        if attended and key is None:
            context.run_in_background(_leave(job.id, job, context))
        raise


async def render(
    kind: KindOfWork, media_type: str, record: JobRecord, context: Context
) -> Response:
    """The answer of a job that has ended. Raises what it failed with, and NotReady."""
    if isinstance(record.outcome, ServiceError):
        record.outcome.job = record.job.id
        raise record.outcome
    model = context.catalogue.by_checkpoint(record.job.checkpoint)
    return await anyio.to_thread.run_sync(kind.render, media_type, record, model)


async def _attend(job_id: str, job: Job, context: Context, request: Request) -> JobRecord:
    """The job's record at its end. However it ends, somebody has then waited for it.

    Raises DeadlineExceeded, Draining when the service stops before the end, and ClientDisconnect
    when the client has left.
    """
    try:
        return await _end_of(job_id, job, context, request)
    finally:
        with anyio.CancelScope(shield=True):
            await _leave(job_id, job, context)


async def _leave(job_id: str, job: Job, context: Context) -> None:
    """Also when the store is away for a while: nobody is to work for a client who has left."""
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
    """The first of: the job's end, its deadline, the client's leaving, the service's."""
    ended: JobRecord | None = None
    reason: Exception | None = None

    async with anyio.create_task_group() as group:

        async def stop_after(event: Callable[[], Awaitable[object]], why: Exception) -> None:
            nonlocal reason
            await event()
            reason = why
            group.cancel_scope.cancel()

        async def deadline() -> None:
            await anyio.sleep(max(0.0, job.deadline - time.time()))

        async def disconnect() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass

        late = DeadlineExceeded(f"no result within {job.deadline - job.created_at:.3g} s")
        group.start_soon(stop_after, deadline, late)
        group.start_soon(stop_after, disconnect, ClientDisconnect())
        group.start_soon(stop_after, context.gate.closed.wait, Draining("the service is stopping"))
        try:
            ended = await context.store.wait(job_id)
        except ServiceError as error:
            reason = error
        group.cancel_scope.cancel()

    if ended is not None:
        return ended
    assert reason is not None
    if isinstance(reason, ServiceError):
        reason.job = job_id
    raise reason
