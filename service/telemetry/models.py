"""Metrics of the models of one worker: how long they took to load, and what became of changes."""

from collections.abc import Mapping
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from service.telemetry.registry import PREFIX

Change = Literal["loaded", "read-again", "unloaded", "failed"]


class ModelMetrics:
    """Metrics of the loading of models. `load_seconds` has the time that each took when the process
    began, in seconds, by its name."""

    def __init__(self, registry: CollectorRegistry, load_seconds: Mapping[str, float]) -> None:
        self._seconds = Gauge(
            "model_load_seconds",
            "Time to read the model, verify it and warm it up.",
            ("model",),
            namespace=PREFIX,
            registry=registry,
        )
        for name, seconds in load_seconds.items():
            self.show_seconds(name, seconds)
        self._changes = Counter(
            "model_changes_total",
            "Changes of the models while the worker runs, by their outcome; after a failure the "
            "model that was served stays in service.",
            ("outcome",),
            namespace=PREFIX,
            registry=registry,
        )
        # An alert on the increase of a counter needs its zero.
        for change in get_args(Change):
            self._changes.labels(change)

    def count(self, change: Change) -> None:
        """Count a change that was made, or that failed."""
        self._changes.labels(change).inc()

    def show_seconds(self, name: str, seconds: float) -> None:
        """Show how long the latest load of a model took."""
        self._seconds.labels(name).set(seconds)
