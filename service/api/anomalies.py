"""POST /v1/anomalies."""

import base64

from fastapi import APIRouter, Request, Response

from models.anomaly.calibration import Verdict
from models.anomaly.heatmap import heatmap_png
from models.anomaly.readings import Reading
from service.api import admission, documentation, waiting
from service.api.context import Context, InContext
from service.api.headers import server_timing, timing
from service.api.images import count, decode, json_images, read_images
from service.api.kinds import Asked, KindOfWork
from service.api.negotiation import JSON
from service.catalogue import ServedModel
from service.contracts.anomalies import (
    AnomalyParameters,
    AnomalyRequest,
    AnomalyResponse,
    AnomalySettings,
    ImageVerdict,
)
from service.jobs import AnomalyResult, AnomalyTask
from service.store.base import JobRecord

router = APIRouter(tags=["anomalies"])


@router.post(
    "/v1/anomalies",
    summary="Judge images and wait",
    response_class=Response,
    responses=documentation.answers(AnomalyResponse, {}),
    openapi_extra=documentation.anomaly_body(),
)
async def create_anomalies(request: Request, context: InContext) -> Response:
    """Whether images are like those that the model was calibrated on. Of images that are, at most
    the share `alpha` is flagged. Noise is keyed by the seed and the image's content."""
    return await waiting.answer(ANOMALIES, request, context)


async def _read(request: Request, context: Context) -> Asked:
    return Asked(*await read_images(request, context, AnomalyParameters, AnomalyRequest))


async def _take(wanted: AnomalyRequest, context: Context) -> Asked:
    return Asked(wanted, await json_images(wanted.images, context))


def _price(asked: Asked, model: ServedModel, context: Context) -> int:
    return admission.verdict_cost(asked.wanted, model, count(asked.parts), context.settings)


def _task(asked: Asked, model: ServedModel, context: Context) -> AnomalyTask:
    return admission.anomaly_task(asked.wanted, model, decode(asked.parts, model, context))


def _render(media_type: str, record: JobRecord, model: ServedModel) -> Response:
    job, task, result = record.job, record.job.task, record.outcome
    assert isinstance(task, AnomalyTask)
    assert isinstance(result, AnomalyResult)
    verdicts = task.calibration.judge(result.readings, task.images)
    answer = AnomalyResponse(
        id=job.id,
        model=job.model,
        checkpoint=job.checkpoint,
        execution=result.execution,
        results=tuple(
            _verdict(index, verdict, reading, task.alpha)
            for index, (verdict, reading) in enumerate(zip(verdicts, result.readings, strict=True))
        ),
        settings=AnomalySettings(
            alpha=task.alpha,
            seed=task.seed,
            solver=task.solver,
            calibration_images=task.calibration.calibration_images.images,
        ),
        timing=timing(record),
    )
    return Response(answer.model_dump_json(), headers=server_timing(record), media_type=JSON)


def _verdict(index: int, verdict: Verdict, reading: Reading, alpha: float) -> ImageVerdict:
    heatmap = None
    if reading.contribution is not None:
        heatmap = base64.b64encode(heatmap_png(reading.contribution)).decode()
    return ImageVerdict(
        index=index,
        status="ok" if verdict.reason is None else "failed",
        score=verdict.score,
        p_value=verdict.p_value,
        is_anomaly=verdict.p_value <= alpha,
        statistics=verdict.statistics or {},
        heatmap=heatmap,
        nfe=reading.nfe,
        reason=verdict.reason,
    )


ANOMALIES = KindOfWork((JSON,), _read, _take, _price, _task, _render)
