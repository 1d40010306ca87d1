"""Work of any kind over HTTP: requests read, and results rendered in the form that Accept chose."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from starlette.requests import Request
from starlette.responses import Response

from service.api.bodies import read_json
from service.api.context import Context
from service.api.images import Images, json_images, read_images
from service.api.negotiation import JSON, body_type
from service.catalogue import ServedModel
from service.contracts.base import Timing, Work
from service.errors import ComputationFailed
from service.images.upload import Upload
from service.jobs import Result, Task
from service.kind import AnyKind, Finished
from service.store.base import JobRecord


class Asked(NamedTuple):
    """A request's parameters, its images as they came, not yet decoded, and where the end of its
    job is to be told, if anywhere."""

    wanted: Work
    parts: Sequence[Upload] = ()
    callback_url: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the request with defaults filled in, however it was written."""
        whole = hashlib.sha256(self.wanted.model_dump_json().encode())
        for part in self.parts:
            whole.update(hashlib.sha256(part.content).digest())
        if self.callback_url is not None:
            whole.update(self.callback_url.encode())
        return whole.hexdigest()


async def read(kind: AnyKind, request: Request, context: Context) -> Asked:
    """The body of POST /v1/<kind>. Raises BadRequest of many kinds."""
    if kind.parameters is not None:
        return Asked(*await read_images(request, context, kind.parameters, kind.request))
    body_type(request, (JSON,))
    return Asked(await read_json(request, kind.request))


async def take(kind: AnyKind, wanted: Work, context: Context) -> Asked:
    """A request of this kind that came in the JSON body of POST /v1/jobs. Raises BadRequest."""
    if kind.takes_images:
        return Asked(wanted, await json_images(cast(Images, wanted).images, context))
    return Asked(wanted)


def offers(kind: AnyKind) -> tuple[str, ...]:
    """Media types of the kind's answers, the default last."""
    return (*kind.binaries, JSON)


def render(kind: AnyKind, media_type: str, record: JobRecord, model: ServedModel) -> Response:
    """The answer of a job that has succeeded. Takes a while where images are encoded."""
    finished = finished_job(kind, record, model)
    headers = server_timing(finished.timing) | {"Vary": "Accept"}  # Accept chooses the body.
    if media_type == JSON:
        body = kind.answer(finished).model_dump_json()
        return Response(body, headers=headers, media_type=JSON)
    headers |= _binary_headers(finished) | kind.headers(finished)
    data = kind.binaries[media_type].body(finished)
    return Response(data, headers=headers, media_type=media_type)


def finished_job(kind: AnyKind, record: JobRecord, model: ServedModel) -> Finished[Any, Any]:
    """A job that has succeeded, with its result and its times. Raises ComputationFailed for a
    stored task or result of another kind."""
    of_kind = isinstance(record.job.task, kind.task) and isinstance(record.outcome, kind.result)
    if not of_kind:
        raise ComputationFailed(f"the stored job is not one of {kind.name}")
    return Finished(record.job, record.outcome, _timing(record), model)


def _timing(record: JobRecord) -> Timing:
    # A time that cannot be read is left out of the job's record.
    started = record.started_at or record.job.created_at
    return Timing(
        queued_s=max(0.0, started - record.job.created_at),
        running_s=max(0.0, (record.finished_at or started) - started),
    )


def server_timing(spent: Timing) -> dict[str, str]:
    """`Server-Timing` in milliseconds."""
    queue, run = spent.queued_s * 1e3, spent.running_s * 1e3
    return {"Server-Timing": f"queue;dur={queue:.1f}, run;dur={run:.1f}"}


def _binary_headers(finished: Finished[Task, Result]) -> dict[str, str]:
    """The facts that JSON would have held, for answers that are nothing but data."""
    job = finished.job
    return {
        "X-Mulan-Id": job.id,
        "X-Mulan-Model": job.model,
        "X-Mulan-Checkpoint": job.checkpoint,
        "X-Mulan-Execution": finished.result.execution,
        "X-Mulan-Seed": str(job.task.seed),
        "X-Mulan-Solver": job.task.solver.model_dump_json(),
    }
