"""POST /v1/samples."""

import base64
from typing import Any

from fastapi import APIRouter, Request, Response

from models.files.pictures import contact_sheet, encode_png
from service.api import admission, documentation, waiting
from service.api.bodies import read_json
from service.api.context import Context, InContext
from service.api.headers import binary_headers, server_timing, timing
from service.api.kinds import Asked, KindOfWork
from service.api.negotiation import JSON, NPY, PNG, body_type
from service.catalogue import ServedModel
from service.contracts.samples import SampledImage, SampleRequest, SampleResponse
from service.images.npy import encode_npy
from service.jobs import Job, SampleResult, SampleTask
from service.store.base import JobRecord

router = APIRouter(tags=["samples"])


@router.post(
    "/v1/samples",
    summary="Generate images and wait",
    response_class=Response,
    responses=documentation.answers(SampleResponse, documentation.SAMPLE_ANSWERS),
    openapi_extra=documentation.sample_body(),
)
async def create_samples(request: Request, context: InContext) -> Response:
    """Images drawn from a model. (checkpoint, solver, seed, index, execution) determine each one,
    whatever else the server is doing."""
    return await waiting.answer(SAMPLES, request, context)


async def _read(request: Request, context: Context) -> Asked:
    body_type(request, (JSON,))
    return Asked(await read_json(request, SampleRequest))


async def _take(wanted: SampleRequest, context: Context) -> Asked:
    return Asked(wanted)


def _price(asked: Asked, model: ServedModel, context: Context) -> int:
    return admission.sample_cost(asked.wanted, model, context.settings)


def _task(asked: Asked, model: ServedModel, context: Context) -> SampleTask:
    return admission.sample_task(asked.wanted, model)


def _render(media_type: str, record: JobRecord, model: ServedModel) -> Response:
    job, task, result = record.job, record.job.task, record.outcome
    assert isinstance(task, SampleTask)
    assert isinstance(result, SampleResult)
    headers = server_timing(record)
    if media_type == JSON:
        answer = _answer(job, task, result, record, model)
        return Response(answer.model_dump_json(), headers=headers, media_type=JSON)
    headers |= binary_headers(job, task, result)
    if media_type == NPY:
        return Response(encode_npy(result.images), headers=headers, media_type=NPY)
    sheet = contact_sheet(result.images, model.config.vocabulary)
    return Response(sheet, headers=headers, media_type=PNG)


def _answer(
    job: Job, task: SampleTask, result: SampleResult, record: JobRecord, model: ServedModel
) -> SampleResponse:
    rows: Any = zip(result.images, result.nfe, result.acceptance_rate, result.latents, strict=True)
    return SampleResponse(
        id=job.id,
        model=job.model,
        checkpoint=job.checkpoint,
        execution=result.execution,
        seed=task.seed,
        solver=task.solver,
        images=tuple(
            SampledImage(
                index=index,
                png=base64.b64encode(encode_png(image, model.config.vocabulary)).decode(),
                nfe=nfe,
                acceptance_rate=rate,
                latent=latent,
            )
            for index, (image, nfe, rate, latent) in enumerate(rows)
        ),
        timing=timing(record),
    )


SAMPLES = KindOfWork((PNG, NPY, JSON), _read, _take, _price, _task, _render)
