"""Anomaly verdicts on images: POST /v1/anomalies."""

from service.kind import Kind
from service.kinds.anomalies import examples, metrics
from service.kinds.anomalies.answer import answer
from service.kinds.anomalies.contract import AnomalyParameters, AnomalyRequest, AnomalyResponse
from service.kinds.anomalies.task import AnomalyResult, AnomalyTask, make, quote
from service.kinds.anomalies.tensors import TENSORS

KIND = Kind(
    package=__name__,
    summary="Judge images and wait",
    description="Judges whether images are like those that the model was calibrated on. Among "
    "images that are, at most the share `alpha` is flagged. Noise is keyed by the seed and the "
    "image's content.",
    request=AnomalyRequest,
    parameters=AnomalyParameters,
    response=AnomalyResponse,
    task=AnomalyTask,
    result=AnomalyResult,
    quote=quote,
    make=make,
    answer=answer,
    examples=examples.ANOMALIES,
    job_examples=examples.JOBS,
    metrics=metrics.METRICS,
    meter=metrics.Meter,
    tensors=TENSORS,
)
