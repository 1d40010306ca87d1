"""Metrics of the data: whether images are still like those that the models were made for."""

from math import isfinite

from prometheus_client import CollectorRegistry, Counter, Histogram

from service.jobs import (
    AnomalyResult,
    AnomalyTask,
    Result,
    SampleResult,
    ScoreResult,
    Task,
)
from service.telemetry.registry import PREFIX

TENTHS = tuple(tenth / 10 for tenth in range(1, 11))
P_VALUES = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
BITS = (*(half / 2 for half in range(1, 17)), 10.0, 12.0, 16.0)


class DataMetrics:
    """Metrics of results. Each image counts once, when the result of its job has been stored."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._acceptance = Histogram(
            "acceptance_rate",
            "Share of an image's proposals that were accepted.",
            ("model", "solver"),
            namespace=PREFIX,
            registry=registry,
            buckets=TENTHS,
        )
        self._bits = Histogram(
            "bits_per_dim",
            "Bits per dimension of the images that were scored.",
            ("model",),
            namespace=PREFIX,
            registry=registry,
            buckets=BITS,
        )
        self._p_value = Histogram(
            "anomaly_p_value",
            "p-values of the images that were judged; uniform if they are like the calibration's.",
            ("model",),
            namespace=PREFIX,
            registry=registry,
            buckets=P_VALUES,
        )
        self._verdicts = Counter(
            "anomaly_verdicts_total",
            "Images judged: normal, abnormal at their request's alpha, or failed.",
            ("model", "verdict"),
            namespace=PREFIX,
            registry=registry,
        )

    def record(self, model: str, solver: str, task: Task, result: Result) -> None:
        """Count the images of one result. Verdicts take about a millisecond an image."""
        match task, result:
            case _, SampleResult():
                self._sampled(model, solver, result)
            case _, ScoreResult():
                self._scored(model, result)
            case AnomalyTask(), AnomalyResult():
                self._judged(model, task, result)

    def _sampled(self, model: str, solver: str, result: SampleResult) -> None:
        rates = [rate for rate in result.acceptance_rate if rate is not None]
        if rates:
            histogram = self._acceptance.labels(model, solver)
            for rate in rates:
                histogram.observe(rate)

    def _scored(self, model: str, result: ScoreResult) -> None:
        for score in result.scores:
            bits = score.bits_per_dim
            # One NaN would make the histogram's sum NaN for ever.
            if score.ok and bits is not None and isfinite(bits):
                self._bits.labels(model).observe(bits)

    def _judged(self, model: str, task: AnomalyTask, result: AnomalyResult) -> None:
        for verdict in task.calibration.judge(result.readings, task.images):
            if verdict.reason is not None:
                self._verdicts.labels(model, "failed").inc()
                continue
            flagged = verdict.p_value <= task.alpha
            self._verdicts.labels(model, "abnormal" if flagged else "normal").inc()
            self._p_value.labels(model).observe(verdict.p_value)
