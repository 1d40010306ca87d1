"""GET /v1/jobs/{id}/events: what happens to a job, as server-sent events."""

import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import anyio
from fastapi import APIRouter, Request
from sse_starlette import EventSourceResponse, ServerSentEvent

from service.api import documentation
from service.api.context import Context, InContext, JobId
from service.api.jobs import describe, owned
from service.errors import UnknownJob
from service.store.base import JobSummary
from service.store.news import Advance, End, News, Reset

router = APIRouter(tags=["jobs"])

# Seconds between comments that keep a silent stream open.
HEARTBEAT_S = 10
_NEVER = -1
# The number of an event after which there is none, for a job that was lost.
_LAST = 2**53 - 1


@router.get(
    "/v1/jobs/{id}/events",
    summary="Watch a job",
    response_class=EventSourceResponse,
    responses=documentation.stream(),
    openapi_extra=documentation.resumption(),
)
async def watch_job(
    id: JobId,  # noqa: A002
    request: Request,
    context: InContext,
) -> EventSourceResponse:
    """`progress` events, of samples with a preview of the images, then one of `succeeded`,
    `failed`, `cancelled`, `timed-out`. With `Last-Event-ID` the stream goes on from there, or
    starts again with `reset`."""
    summary = await owned(id, request, context)
    last = request.headers.get("last-event-id")
    send, receive = anyio.create_memory_object_stream[ServerSentEvent](0)

    async def tell() -> None:
        """Send events until the job has ended or was lost; a service that stops ends the stream."""
        async with send, anyio.create_task_group() as group:

            async def stop() -> None:
                await context.gate.draining.wait()
                group.cancel_scope.cancel()

            group.start_soon(stop)
            async with aclosing(context.store.watch(id, _number(last))) as news:
                try:
                    async for one in news:
                        await send.send(await _event(id, one, context))
                except UnknownJob:
                    await send.send(_lost(summary))
            group.cancel_scope.cancel()

    async def told() -> AsyncIterator[ServerSentEvent]:
        async with receive:
            async for event in receive:
                yield event

    return EventSourceResponse(told(), data_sender_callable=tell, ping=HEARTBEAT_S, sep="\n")


def _number(last_event_id: str | None) -> int | None:
    """Return the number of the last event received. An id that is not one of ours counts as too old
    to resume from."""
    if last_event_id is None:
        return None
    known = last_event_id.isascii() and last_event_id.isdecimal() and len(last_event_id) < 19
    return int(last_event_id) if known else _NEVER


def _lost(summary: JobSummary) -> ServerSentEvent:
    """The last event of a job that the store no longer knows: its data was lost."""
    failed = replace(summary, status="failed", finished_at=time.time())
    return ServerSentEvent(describe(failed).model_dump_json(), event="failed", id=str(_LAST))


async def _event(job_id: str, news: News, context: Context) -> ServerSentEvent:
    match news:
        case Advance(number, progress, preview):
            picture = base64.b64encode(preview).decode() if preview else None
            data = json.dumps({"progress": progress, "preview": picture})
            return ServerSentEvent(data, event="progress", id=str(number))
        case Reset(number):
            return ServerSentEvent("{}", event="reset", id=str(number))
        case End(number, status):
            answer = describe(await context.store.summary(job_id)).model_dump_json()
            return ServerSentEvent(answer, event=status, id=str(number))
