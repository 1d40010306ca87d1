"""Metrics of the queue, and of the workers that serve it."""

from collections.abc import Collection, Mapping

from prometheus_client import CollectorRegistry, Gauge

from service.telemetry.registry import PREFIX


class QueueMetrics:
    """Metrics of the whole store, as one process has last seen it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._jobs = Gauge(
            "queue_jobs",
            "Jobs in the store: queued ones wait, running ones are held by workers.",
            ("state",),
            namespace=PREFIX,
            registry=registry,
        )
        self._cost = Gauge(
            "queue_cost_row_evaluations",
            "Row-evaluations that are predicted for the queued jobs.",
            namespace=PREFIX,
            registry=registry,
        )
        self._drain = Gauge(
            "queue_drain_row_evaluations_per_second",
            "Predicted row-evaluations that were done each second, since jobs began to wait or "
            "recently; 0 while no job waits.",
            namespace=PREFIX,
            registry=registry,
        )
        self._workers = Gauge(
            "model_workers",
            "Live workers that serve the model; 0 once the last has left, and nothing for a model "
            "that was unloaded.",
            ("model",),
            namespace=PREFIX,
            registry=registry,
        )
        self._dead_letters = Gauge(
            "dead_letters",
            "Jobs that were given up and are kept for inspection.",
            namespace=PREFIX,
            registry=registry,
        )
        self._gaps = Gauge(
            "store_gaps",
            "Times within a day that a server of the store was replaced or started again.",
            namespace=PREFIX,
            registry=registry,
        )
        self._gap_seconds = Gauge(
            "store_gap_seconds",
            "Seconds of these gaps together: jobs accepted in them may be lost.",
            namespace=PREFIX,
            registry=registry,
        )
        self._known: set[str] = set()
        self.update(0, 0, 0, 0.0, 0)

    def update(self, queued: int, running: int, cost: int, drain: float, dead_letters: int) -> None:
        """Show the numbers of jobs; `cost` is the predicted row-evaluations of the queued ones, and
        `drain` the row-evaluations done each second."""
        self._jobs.labels("queued").set(queued)
        self._jobs.labels("running").set(running)
        self._cost.set(cost)
        self._drain.set(drain)
        self._dead_letters.set(dead_letters)

    def update_gaps(self, gaps: int, seconds: float) -> None:
        """Show how often within a day a server was replaced, and for how long jobs that were
        accepted may be lost with it."""
        self._gaps.set(gaps)
        self._gap_seconds.set(seconds)

    def update_workers(self, workers: Mapping[str, int], unloaded: Collection[str] = ()) -> None:
        """Show how many workers serve each model, by its name, and nothing of `unloaded` ones."""
        for model in self._known.intersection(unloaded):
            self._workers.remove(model)
        self._known = (self._known | workers.keys()).difference(unloaded)
        for model in self._known:
            self._workers.labels(model).set(workers.get(model, 0))
