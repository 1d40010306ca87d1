"""Readings as verdicts, and verdicts as an answer."""

import base64

from models.anomaly.calibration import Verdict
from models.anomaly.heatmap import heatmap_png
from models.anomaly.pictures import judge_pictures
from models.anomaly.readings import Reading
from service.contracts.photographs import applied
from service.kind import Finished
from service.kinds.anomalies.contract import AnomalyResponse, AnomalySettings, ImageVerdict
from service.kinds.anomalies.pictures import picture_verdicts
from service.kinds.anomalies.task import AnomalyResult, AnomalyTask


def answer(finished: Finished[AnomalyTask, AnomalyResult]) -> AnomalyResponse:
    """The answer as JSON."""
    job, result, task = finished.job, finished.result, finished.job.task
    reference = task.calibration.pictures
    if task.tiling is not None:
        found = judge_pictures(task.calibration, result.readings, task.images, task.tiling)
        results = picture_verdicts(found, result.readings, task)
    else:
        verdicts = task.calibration.judge(result.readings, task.images)
        results = [
            _verdict(index, verdict, reading, task.alpha)
            for index, (verdict, reading) in enumerate(zip(verdicts, result.readings, strict=True))
        ]
    return AnomalyResponse(
        id=job.id,
        model=job.model,
        checkpoint=job.checkpoint,
        execution=result.execution,
        results=tuple(results),
        settings=AnomalySettings(
            alpha=task.alpha,
            seed=task.seed,
            solver=task.solver,
            calibration_images=task.calibration.calibration_images.images
            if reference is None
            else reference.pictures,
            aggregate=None if reference is None else reference.aggregate,
        ),
        applied=applied(task.tiling),
        timing=finished.timing,
    )


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
