"""Lines of the log about jobs."""

import logging
from typing import Any

from service.jobs import Job
from service.telemetry.observers import Ending, JobObserver

logger = logging.getLogger("mulan.jobs")


def log_fields(job: Job) -> dict[str, str]:
    """Return the ids of a job and of the request that made it, as the `extra` of a log record."""
    return {"job_id": job.id, **({"request_id": job.request_id} if job.request_id else {})}


class JobLog(JobObserver):
    """Logs a line when a worker's hold on a job ends; `worker` is the worker's name."""

    def __init__(self, worker: str) -> None:
        self._worker = worker

    def claimed(self, job: Job, waited: float) -> None:
        logger.debug("claimed", extra=self._fields(job, queued_s=round(waited, 6)))

    def left_engine(self, job: Job, seconds: float) -> None:
        logger.debug("ran", extra=self._fields(job, running_s=round(seconds, 6)))

    def ended(self, job: Job, ending: Ending) -> None:
        logger.info("job %s", ending, extra=self._fields(job, outcome=ending))

    def _fields(self, job: Job, **more: Any) -> dict[str, Any]:
        kind, solver = job.task.kind, job.task.solver.name
        what = {"model": job.model, "kind": kind, "solver": solver, "worker": self._worker}
        return {**log_fields(job), **what, **more}
