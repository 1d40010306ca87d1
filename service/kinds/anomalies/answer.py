"""Readings as verdicts, and verdicts as an answer."""

from collections.abc import Sequence

from models.anomaly.kept import AnyCalibration
from models.anomaly.level_calibration import LevelCalibration
from models.anomaly.pictures import judge_pictures
from models.anomaly.power import Power
from models.anomaly.ranked import Verdict
from models.anomaly.readings import Reading
from models.anomaly.selection import benjamini_hochberg
from models.schema.preprocessing import Size
from service.contracts.photographs import applied
from service.kind import Finished
from service.kinds.anomalies.contract import (
    AnomalyResponse,
    AnomalySettings,
    ImageVerdict,
    Select,
)
from service.kinds.anomalies.pictures import picture_verdicts
from service.kinds.anomalies.strange_places import heatmap, regions
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
            _verdict(index, task, verdict, reading)
            for index, (verdict, reading) in enumerate(zip(verdicts, result.readings, strict=True))
        ]
    if task.fdr is not None:
        results = _selected(results, task.fdr)
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
            select=None if task.fdr is None else Select(fdr=task.fdr),
            source=task.source,
        ),
        applied=applied(task.tiling),
        power=_power(task.calibration),
        timing=finished.timing,
    )


def _selected(results: Sequence[ImageVerdict], fdr: float) -> list[ImageVerdict]:
    """Select images of a request together."""
    selected = benjamini_hochberg([one.p_value for one in results], fdr)
    return [
        one.model_copy(update={"selected": is_selected})
        for one, is_selected in zip(results, selected, strict=True)
    ]


def _power(calibration: AnyCalibration) -> Power | None:
    """The result of the calibration's power check, where it made one."""
    return calibration.power if isinstance(calibration, LevelCalibration) else None


def _verdict(index: int, task: AnomalyTask, verdict: Verdict, reading: Reading) -> ImageVerdict:
    image = task.images[index]
    heat = None if verdict.reason is not None else task.calibration.heatmap(reading, image)
    size = Size(*image.shape[:2])
    return ImageVerdict(
        index=index,
        status="ok" if verdict.reason is None else "failed",
        score=verdict.score,
        p_value=verdict.p_value,
        is_anomaly=verdict.p_value <= task.alpha,
        statistics=verdict.statistics or {},
        deviations=task.calibration.deviations(verdict),
        regions=regions(task, heat, size),
        heatmap=heatmap(task, heat, image, size),
        nfe=reading.nfe,
        reason=verdict.reason,
    )
