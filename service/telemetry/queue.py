"""What waits, and who is there to do it."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Gauge

from service.telemetry.registry import PREFIX


class QueueMetrics:
    """Of the store, as one process last saw it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._jobs = Gauge(
            "queue_jobs",
            "Jobs that wait, and that run.",
            ("state",),
            namespace=PREFIX,
            registry=registry,
        )
        self._cost = Gauge(
            "queue_cost_row_evaluations",
            "Row-evaluations predicted of the jobs that wait.",
            namespace=PREFIX,
            registry=registry,
        )
        self._drain = Gauge(
            "queue_drain_row_evaluations_per_second",
            "How fast predicted row-evaluations have been done since jobs began to wait, or of "
            "late; 0 while none wait.",
            namespace=PREFIX,
            registry=registry,
        )
        self._workers = Gauge(
            "model_workers",
            "Live workers that serve the model; 0 after the last has gone.",
            ("model",),
            namespace=PREFIX,
            registry=registry,
        )
        self._letters = Gauge(
            "dead_letters",
            "Jobs that were given up and wait for a look into them.",
            namespace=PREFIX,
            registry=registry,
        )
        self._known: set[str] = set()
        self.saw(0, 0, 0, 0.0, 0)

    def saw(self, queued: int, running: int, cost: int, drain: float, letters: int) -> None:
        """How the queue stands: jobs, predicted row-evaluations that wait, and done a second."""
        self._jobs.labels("queued").set(queued)
        self._jobs.labels("running").set(running)
        self._cost.set(cost)
        self._drain.set(drain)
        self._letters.set(letters)

    def serving(self, workers: Mapping[str, int]) -> None:
        """How many workers serve each model."""
        self._known |= workers.keys()
        for model in self._known:
            self._workers.labels(model).set(workers.get(model, 0))
