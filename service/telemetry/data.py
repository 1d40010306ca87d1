"""Metrics of what results tell of their images: whether those that come are still like those that
the model was made for. Each kind of work declares its own (`Kind.metrics`)."""

import threading
from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.jobs import Result, Task
from service.kind import Metric
from service.kinds import KINDS
from service.telemetry.registry import PREFIX


class DataMetrics:
    """The metrics of every kind. Each image counts once: when its job has ended here. `sources` are
    the names of sources that labels may have."""

    def __init__(self, registry: CollectorRegistry, sources: Collection[str]) -> None:
        metrics = [metric for kind in KINDS.values() for metric in kind.metrics]
        self._collectors = {metric.name: _collector(metric, registry) for metric in metrics}
        self._measures = {
            name: kind.measure if kind.meter is None else kind.meter(sources)
            for name, kind in KINDS.items()
        }
        self._one_at_a_time = threading.Lock()

    def record(self, model: str, task: Task, result: Result) -> None:
        """Count the images of a result. May be called by any thread."""
        with self._one_at_a_time:
            for metric, value, labels in self._measures[task.kind](task, result):
                match self._collectors[metric.name].labels(model, *labels):
                    case Histogram() as histogram:
                        histogram.observe(value)
                    case Gauge() as gauge:
                        gauge.set(value)
                    case counter:
                        counter.inc(value)


def _collector(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    named = metric.name, metric.description, ("model", *metric.labels)
    if metric.gauge:
        return Gauge(*named, namespace=PREFIX, registry=registry)
    if metric.buckets is None:
        return Counter(*named, namespace=PREFIX, registry=registry)
    return Histogram(*named, namespace=PREFIX, registry=registry, buckets=metric.buckets)
