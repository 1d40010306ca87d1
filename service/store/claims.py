"""A claim as Redis returns it. The stored task is not trusted: it may be that of another job."""

from dataclasses import replace

from service.errors import ComputationFailed
from service.jobs import Job
from service.kinds import KINDS
from service.store import replies
from service.store.base import Claim


def read(
    job_id: str,
    epoch: int,
    company: int,
    task: bytes | None,
    deadline: bytes,
    cost: bytes,
    checkpoint: bytes,
    kind: bytes,
) -> Claim:
    """Read the reply of the script `claim`. Raises ComputationFailed for a task that this build
    cannot read, and for one that is not what was admitted as this job."""
    if task is None:
        raise ComputationFailed("the task of this job is no longer stored")
    job = replies.job(task)
    _check(job, job_id, _text(checkpoint), int(cost))
    if job.task.kind != _text(kind) and _text(kind) in KINDS:
        raise ComputationFailed(f"the stored task is one of {job.task.kind}, not {_text(kind)}")
    return Claim(replace(job, deadline=float(deadline)), epoch, company or None)


def _text(part: bytes) -> str:
    return part.decode(errors="replace")


def _check(job: Job, job_id: str, checkpoint: str, cost: int) -> None:
    """Check a stored job by what the queue says of it. Raises ComputationFailed."""
    if job.id != job_id:
        raise ComputationFailed("the stored task is that of another job")
    if job.checkpoint != checkpoint:
        raise ComputationFailed("the stored task is for another checkpoint than its queue")
    if job.cost != cost:
        raise ComputationFailed(
            f"the stored task has a price of {job.cost} row-evaluations; {cost} were admitted"
        )
    rows = job.task.rows
    if not 1 <= rows <= cost:
        raise ComputationFailed(
            f"the stored task has {rows} rows, which do not cost {cost} row-evaluations"
        )
