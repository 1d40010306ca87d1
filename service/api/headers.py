"""What an answer says beside its body."""

from service.contracts.base import Timing
from service.jobs import Job, SampleResult, SampleTask
from service.store.base import JobRecord


def timing(record: JobRecord) -> Timing:
    """Seconds in the queue and at work, of a job that has succeeded."""
    assert record.started_at is not None
    assert record.finished_at is not None
    return Timing(
        queued_s=max(0.0, record.started_at - record.job.created_at),
        running_s=max(0.0, record.finished_at - record.started_at),
    )


def server_timing(record: JobRecord) -> dict[str, str]:
    """`Server-Timing` in milliseconds; and Vary, since Accept chooses the body."""
    spent = timing(record)
    queue, run = spent.queued_s * 1e3, spent.running_s * 1e3
    return {"Server-Timing": f"queue;dur={queue:.1f}, run;dur={run:.1f}", "Vary": "Accept"}


def binary_headers(job: Job, task: SampleTask, result: SampleResult) -> dict[str, str]:
    """What JSON would have said, for answers that are nothing but pixels."""
    return {
        "X-Mulan-Id": job.id,
        "X-Mulan-Model": job.model,
        "X-Mulan-Checkpoint": job.checkpoint,
        "X-Mulan-Execution": result.execution,
        "X-Mulan-Seed": str(task.seed),
        "X-Mulan-Solver": task.solver.model_dump_json(),
    }
