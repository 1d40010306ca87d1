"""Metrics of what results tell of their images: whether those that come are still like those that
the model was made for. Each kind of work declares its own (`Kind.metrics`)."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from service.jobs import Result, Task
from service.kind import Metric
from service.kinds import KINDS
from service.telemetry.registry import PREFIX


class DataMetrics:
    """The metrics of every kind. Each image counts once: when its job has ended here."""

    def __init__(self, registry: CollectorRegistry) -> None:
        metrics = [metric for kind in KINDS.values() for metric in kind.metrics]
        self._collectors = {metric.name: _collector(metric, registry) for metric in metrics}

    def record(self, model: str, task: Task, result: Result) -> None:
        """Count the images of a result."""
        for metric, value, labels in KINDS[task.kind].measure(task, result):
            match self._collectors[metric.name].labels(model, *labels):
                case Histogram() as histogram:
                    histogram.observe(value)
                case counter:
                    counter.inc(value)


def _collector(metric: Metric, registry: CollectorRegistry) -> Counter | Histogram:
    named = metric.name, metric.description, ("model", *metric.labels)
    if metric.buckets is None:
        return Counter(*named, namespace=PREFIX, registry=registry)
    return Histogram(*named, namespace=PREFIX, registry=registry, buckets=metric.buckets)
