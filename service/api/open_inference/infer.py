"""POST /v2/models/{name}/infer: a request becomes a job, as under /v1, and its client waits."""

import time
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from service.api import waiting
from service.api.context import Context
from service.api.open_inference import reading, writing
from service.api.open_inference.variants import CURRENT, Variant, find
from service.errors import ServiceError, UnknownModel


async def infer(name: str, version: str | None, request: Request, context: Context) -> Response:
    """Read, queue, wait and render one request. Raises ServiceError, ClientDisconnect."""
    with context.gate.enter():
        await context.quotas.admit(request.state.owner)
        variant = find(name, version, context.catalogue)
        began = time.perf_counter()
        try:
            return await _infer(variant, version, request, context, began)
        except ServiceError:
            context.statistics.failed(variant.name, time.perf_counter() - began)
            raise


async def _infer(
    variant: Variant, version: str | None, request: Request, context: Context, began: float
) -> Response:
    asked, wish = await reading.read(request, variant)
    wait = asked.wanted.timeout_s or context.settings.default_timeout_s
    job, job_id = await waiting.hand_in(variant.kind, asked, wait, request, context, attended=True)
    # Its images may be large, and the wait long.
    del asked
    record = await waiting.attend(job_id, job, context, request)
    if version not in (None, CURRENT, record.job.checkpoint):
        raise UnknownModel(f"{variant.name} has another version since the request came")
    done = await waiting.made(record, context, partial(writing.render, variant, wish, record))
    seconds = time.perf_counter() - began
    context.statistics.succeeded(variant.name, done.images, seconds, done.timing)
    return done.response
