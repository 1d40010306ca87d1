"""Metrics of the jobs of one worker, and of the data in their results."""

from collections.abc import Collection, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram

from service.jobs import Job, Result
from service.telemetry.data import DataMetrics
from service.telemetry.observers import Ending, JobObserver
from service.telemetry.registry import PREFIX, SECONDS

_LABELS = ("kind", "model", "solver")


class JobMetrics(JobObserver):
    """Metrics of jobs. `names` has the name of each checkpoint of the worker, by SHA-256, and
    `sources` are the names of sources of images that it knows."""

    def __init__(
        self,
        registry: CollectorRegistry,
        names: Mapping[str, str],
        sources: Collection[str] = (),
    ) -> None:
        self._names, self._data = names, DataMetrics(registry, sources)
        self._jobs = Counter(
            "jobs_total",
            "Jobs that the worker held, by how its hold ended.",
            (*_LABELS, "outcome"),
            namespace=PREFIX,
            registry=registry,
        )
        self._waiting = Histogram(
            "job_queue_seconds",
            "Time from a job's admission to its claim by the worker.",
            _LABELS,
            namespace=PREFIX,
            registry=registry,
            buckets=SECONDS,
        )
        self._running = Histogram(
            "job_run_seconds",
            "Time from a job's claim to its end in the engine, of jobs that ended there.",
            _LABELS,
            namespace=PREFIX,
            registry=registry,
            buckets=SECONDS,
        )

    def claimed(self, job: Job, waited: float) -> None:
        self._waiting.labels(*self._labels(job)).observe(waited)

    def ended(self, job: Job, ending: Ending) -> None:
        self._jobs.labels(*self._labels(job), ending).inc()

    def left_engine(self, job: Job, seconds: float) -> None:
        self._running.labels(*self._labels(job)).observe(seconds)

    def result_stored(self, job: Job, result: Result) -> None:
        self._data.record(self._names[job.checkpoint], job.task, result)

    def _labels(self, job: Job) -> tuple[str, str, str]:
        return job.task.kind, self._names[job.checkpoint], job.task.solver.name
