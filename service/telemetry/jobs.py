"""Jobs of one worker, and what their results say of the data."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram

from service.jobs import Job, Result
from service.telemetry.data import DataMetrics
from service.telemetry.observers import Ending, JobObserver
from service.telemetry.registry import PREFIX, SECONDS

_LABELS = ("kind", "model", "solver")


class JobMetrics(JobObserver):
    """`names`: what the checkpoints that are served here are called, by SHA-256."""

    def __init__(self, registry: CollectorRegistry, names: Mapping[str, str]) -> None:
        self._names, self._data = names, DataMetrics(registry)
        self._jobs = Counter(
            "jobs_total",
            "Jobs that ran here, by how that ended.",
            (*_LABELS, "outcome"),
            namespace=PREFIX,
            registry=registry,
        )
        self._queued = Histogram(
            "job_queue_seconds",
            "From a job's admission to its claim here.",
            _LABELS,
            namespace=PREFIX,
            registry=registry,
            buckets=SECONDS,
        )
        self._ran = Histogram(
            "job_run_seconds",
            "From a job's claim to its end in the engine; of those that ended there.",
            _LABELS,
            namespace=PREFIX,
            registry=registry,
            buckets=SECONDS,
        )

    def claimed(self, job: Job, waited: float) -> None:
        self._queued.labels(*self._of(job)).observe(waited)

    def ended(self, job: Job, ending: Ending) -> None:
        self._jobs.labels(*self._of(job), ending).inc()

    def ran(self, job: Job, seconds: float) -> None:
        self._ran.labels(*self._of(job)).observe(seconds)

    def found(self, job: Job, result: Result) -> None:
        self._data.found(self._names[job.checkpoint], job.task, result)

    def _of(self, job: Job) -> tuple[str, str, str]:
        return job.task.kind, self._names[job.checkpoint], job.task.solver.name
