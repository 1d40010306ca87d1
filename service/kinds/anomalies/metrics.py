"""Metrics of verdicts."""

from collections.abc import Iterator, Sequence

from models.anomaly.pictures import PictureVerdict, judge_pictures
from models.anomaly.ranked import Verdict
from service.kind import Measurement, Metric
from service.kinds.anomalies.task import AnomalyResult, AnomalyTask

P_VALUE = Metric(
    "anomaly_p_value",
    "P-values of the images that were judged, which are uniform where the images are like the "
    "calibration's.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0),
)
VERDICTS = Metric(
    "anomaly_verdicts_total",
    "Images judged: normal, abnormal at their request's alpha, or failed.",
    labels=("verdict",),
)
METRICS = (P_VALUE, VERDICTS)


def measure(task: AnomalyTask, result: AnomalyResult) -> Iterator[Measurement]:
    """The verdict on each image or photograph, and its p-value where it was solved. Takes about a
    few milliseconds an image."""
    verdicts: Sequence[Verdict | PictureVerdict]
    if task.tiling is None:
        verdicts = task.calibration.judge(result.readings, task.images)
    else:
        verdicts = judge_pictures(task.calibration, result.readings, task.images, task.tiling)
    for verdict in verdicts:
        if verdict.reason is not None:
            yield Measurement(VERDICTS, 1, ("failed",))
            continue
        flagged = verdict.p_value <= task.alpha
        yield Measurement(VERDICTS, 1, ("abnormal" if flagged else "normal",))
        yield Measurement(P_VALUE, verdict.p_value)
