"""Lines of the log about jobs: the ids that they go by, and one for each end."""

import logging
from typing import Any

from service.jobs import Job
from service.telemetry.observers import Ending, JobObserver

logger = logging.getLogger("mulan.jobs")


def ids(job: Job) -> dict[str, str]:
    """A job's, and that of the request that it came by: `extra` of a record."""
    return {"job_id": job.id, **({"request_id": job.request_id} if job.request_id else {})}


class JobLog(JobObserver):
    """A line for each end of a worker's hold on a job; `worker`: its name."""

    def __init__(self, worker: str) -> None:
        self._worker = worker

    def claimed(self, job: Job, waited: float) -> None:
        logger.debug("claimed", extra=self._about(job, queued_s=round(waited, 6)))

    def ran(self, job: Job, seconds: float) -> None:
        logger.debug("ran", extra=self._about(job, running_s=round(seconds, 6)))

    def ended(self, job: Job, ending: Ending) -> None:
        logger.info("job %s", ending, extra=self._about(job, outcome=ending))

    def _about(self, job: Job, **more: Any) -> dict[str, Any]:
        kind, solver = job.task.kind, job.task.solver.name
        what = {"model": job.model, "kind": kind, "solver": solver, "worker": self._worker}
        return {**ids(job), **what, **more}
