"""POST /v1/anomalies."""

import base64
from collections.abc import Sequence

import anyio
from fastapi import APIRouter, Request, Response

from models.anomaly.calibration import Calibration, Verdict
from models.anomaly.heatmap import heatmap_png
from models.anomaly.readings import Reading
from service.api import admission, documentation, waiting
from service.api.context import InContext
from service.api.headers import server_timing, timing
from service.api.images import count, decode, read_images
from service.api.negotiation import JSON, answer_type
from service.contracts import (
    AnomalyAnswer,
    AnomalyParameters,
    AnomalyRequest,
    AnomalySettings,
    ImageVerdict,
)
from service.jobs import AnomalyResult, AnomalyTask, Job, Tokens
from service.store.base import Record

router = APIRouter(tags=["anomalies"])


@router.post(
    "/v1/anomalies",
    summary="Judge images and wait",
    response_class=Response,
    responses=documentation.answers(AnomalyAnswer, {}),
    openapi_extra=documentation.anomaly_body(),
)
async def create_anomalies(request: Request, context: InContext) -> Response:
    """Whether images are like those that the model was calibrated on. Of images that are, at most
    the share `alpha` is flagged. Noise is keyed by the seed and the image's content."""
    with context.gate.enter():
        answer_type(request, (JSON,))
        wanted, parts = await read_images(request, context, AnomalyParameters, AnomalyRequest)
        model = context.catalogue.get(wanted.model)
        calibration = admission.check_verdicts(wanted, model, count(parts), context.settings)
        images = await anyio.to_thread.run_sync(decode, parts, model, context)
        task = admission.anomaly_task(wanted, calibration, images)
        job = admission.job(task, model, wanted.timeout_s, request.state.owner, context.settings)
        result, record = await waiting.run(job, context, request)
        assert isinstance(result, AnomalyResult)
        return await anyio.to_thread.run_sync(
            _render, job, task, wanted, calibration, result, record
        )


def _render(
    job: Job,
    task: AnomalyTask,
    wanted: AnomalyParameters,
    calibration: Calibration,
    result: AnomalyResult,
    record: Record,
) -> Response:
    answer = AnomalyAnswer(
        id=job.id,
        model=wanted.model,
        checkpoint=job.checkpoint,
        execution=result.execution,
        results=_verdicts(calibration, result.readings, task.images, wanted),
        settings=AnomalySettings(
            alpha=wanted.alpha,
            seed=task.seed,
            solver=task.solver,
            calibration_images=calibration.calibration_images.images,
        ),
        timing=timing(record),
    )
    return Response(answer.model_dump_json(), headers=server_timing(record), media_type=JSON)


def _verdicts(
    calibration: Calibration,
    readings: Sequence[Reading],
    images: Tokens,
    wanted: AnomalyParameters,
) -> tuple[ImageVerdict, ...]:
    verdicts = calibration.judge(readings, images)
    return tuple(
        _verdict(index, verdict, reading, wanted)
        for index, (verdict, reading) in enumerate(zip(verdicts, readings, strict=True))
    )


def _verdict(
    index: int, verdict: Verdict, reading: Reading, wanted: AnomalyParameters
) -> ImageVerdict:
    heatmap = None
    if wanted.heatmap and reading.contribution is not None:
        heatmap = base64.b64encode(heatmap_png(reading.contribution)).decode()
    return ImageVerdict(
        index=index,
        status="ok" if verdict.reason is None else "failed",
        score=verdict.score,
        p_value=verdict.p_value,
        is_anomaly=verdict.p_value <= wanted.alpha,
        statistics=verdict.statistics or {},
        heatmap=heatmap,
        nfe=reading.nfe,
        reason=verdict.reason,
    )
