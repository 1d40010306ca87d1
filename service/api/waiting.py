"""Hand a job in and wait for its end, for as long as somebody listens."""

import logging
import time
from collections.abc import Awaitable, Callable

import anyio
from starlette.requests import ClientDisconnect, Request

from service.api.context import Context
from service.errors import DeadlineExceeded, Draining, ServiceError, UnknownJob
from service.jobs import Job, Result
from service.store.base import Record

_LOG = logging.getLogger("mulan.api")
_CLEANUP_S = 5


async def run(job: Job, context: Context, request: Request) -> tuple[Result, Record]:
    """The job's result, and its record for the times.

    Raises ServiceError: QueueFull and the like on admission, DeadlineExceeded, Draining when the
    service stops before the end, or the job's own failure. Raises ClientDisconnect when the client
    has left. However it ends, the job then runs no more and is forgotten.
    """
    await context.store.put(job)
    try:
        record = await _end_of(job, context, request)
    finally:
        with anyio.move_on_after(_CLEANUP_S, shield=True):
            await _drop(job, context)
    if isinstance(record.outcome, ServiceError):
        record.outcome.job = job.id
        raise record.outcome
    assert record.outcome is not None
    return record.outcome, record


async def _end_of(job: Job, context: Context, request: Request) -> Record:
    """The first of: the job's end, its deadline, the client's leaving, the service's."""
    ended: Record | None = None
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
            ended = await context.store.wait(job.id)
        except ServiceError as error:
            reason = error
        group.cancel_scope.cancel()

    if ended is not None:
        return ended
    assert reason is not None
    if isinstance(reason, ServiceError):
        reason.job = job.id
    raise reason


async def _drop(job: Job, context: Context) -> None:
    try:
        await context.store.cancel(job.id)
        await context.store.forget(job.id)
    except UnknownJob:
        pass
    except ServiceError as error:
        _LOG.warning("job %s could not be dropped: %s", job.id, error.detail)
